import { assert, describe, it } from "@effect/vitest"
import * as Directive from "../../src/actors/Directive.ts"
import { type DirectiveCommand, DirectiveGone } from "../../src/actors/DirectiveCommand.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { created, daemonA, directiveId, ownerId, started, stream, unknownTask } from "../support/directive.ts"
import { given } from "../support/given.ts"

const exported = "e".repeat(64)
const removed: DirectiveEvent = {
  _tag: "DirectiveRemoved",
  directiveId,
  ownerId,
  version: 3,
  hash: "5".repeat(64),
  exported
}
const history: ReadonlyArray<DirectiveEvent> = [created, started, { _tag: "DirectiveArchived" }, removed]

describe("Directive, when it was removed", () => {
  it.each<DirectiveCommand>([
    { _tag: "CreateDirective", ownerId, title: "Again", goal: "Again" },
    { _tag: "StartDirective" },
    { _tag: "ArchiveDirective" },
    { _tag: "UpdateDirective", title: "Another" },
    { _tag: "AddSteps", steps: [] },
    { _tag: "ReportTask", taskId: unknownTask, daemonId: daemonA, status: "completed" },
    { _tag: "FailHandOver", taskId: unknownTask, handOver: 1, reason: "" }
  ])("refuses $_tag, and its id stays taken", (command) => {
    given(removed).when(command).thenRejects(new DirectiveGone({ directiveId, exported }))
    given(...history).when(command).thenRejects(new DirectiveGone({ directiveId, exported }))
  })

  it("is the same with and without what came before", () => {
    const empty = Directive.empty(stream)
    const state = Directive.evolve(empty, removed)
    assert.deepStrictEqual(history.reduce(Directive.evolve, empty), state)
    assert.deepStrictEqual([state.version, state.status, state.ownerId], [4, "archived", ownerId])
  })

  it("does nothing by itself", () => {
    given(removed).when({ _tag: "Wake" }).thenRecords()
  })
})
