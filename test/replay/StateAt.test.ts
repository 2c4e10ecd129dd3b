import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import type { RecordedEvent } from "../../src/events/EventLog.ts"
import { difference, stateAt, view } from "../../src/replay/StateAt.ts"
import { fixed, history, inTurns, recorded } from "../projections/histories.ts"
import { scenario, step } from "../support/scenario.ts"

const Choices = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
  .check(Schema.isMaxLength(60))

const recordedOf = (life: ReturnType<typeof scenario>): ReadonlyArray<RecordedEvent> =>
  recorded([{ at: life.now, append: { stream: life.state.stream, expected: 0, events: life.events } }])

describe("StateAt", () => {
  it.prop("is the state that the directive had, at every position", [Choices], ([choices]) => {
    const log = recorded(inTurns(history("one", "ada", choices), fixed("other", "ada", choices.length, 20)))
    const stream = log[0]!.stream
    let state = Directive.empty(stream)
    for (const { event, position, stream: its } of log) {
      if (its === stream) state = Directive.evolve(state, event)
      assert.deepStrictEqual(stateAt(stream, log, position), state)
    }
    assert.deepStrictEqual(stateAt(stream, log), state)
    assert.deepStrictEqual(stateAt(stream, log, 0), Directive.empty(stream))
  })

  it.prop("has a view that is plain JSON", [Choices], ([choices]) => {
    const log = recorded(history("json", "ada", choices))
    const seen = view(stateAt(log[0]!.stream, log))
    assert.deepStrictEqual<unknown>(JSON.parse(JSON.stringify(seen)), seen)
  })

  it("has a view whose parts are in an order that means something", () => {
    const life = scenario()
    life.plan(step("Describe"), step("Build", ["Describe"]))
    life.end("Describe", "completed")
    life.send({ _tag: "SetMemory", key: "b", value: "2" })
    life.send({ _tag: "SetMemory", key: "a", value: "1", category: "style" })
    const seen = view(life.state)
    assert.deepStrictEqual(seen.steps.map(({ name, sequence, status }) => [sequence, name, status]), [
      [0, "Describe", "completed"],
      [1, "Build", "ready"]
    ])
    assert.deepStrictEqual(seen.tasks.map(({ handOver, name, status }) => [name, status, handOver]), [
      ["Plan: Export invoices", "completed", 1],
      ["Export invoices: Describe", "completed", 1],
      ["Export invoices: Build", "pending", 0]
    ])
    assert.deepStrictEqual(seen.memories, [
      { key: "a", value: "1", category: "style" },
      { key: "b", value: "2", category: null }
    ])
  })

  it("tells what two views differ in", () => {
    const life = scenario()
    life.plan(step("Describe"))
    life.send({ _tag: "SetMemory", key: "tool", value: "npm" })
    const before = life.events.length
    life.handOver("Describe")
    life.report("Describe", "running")
    life.addSteps(step("Build"))
    life.send({ _tag: "UpdateDirective", title: "Export all invoices" })
    life.send({ _tag: "RemoveMemory", key: "tool" })
    const log = recordedOf(life)
    const [from, to] = [view(stateAt(life.state.stream, log, before)), view(stateAt(life.state.stream, log))]
    const brief = (name: string) => ({ id: life.stepId(name), name })
    const task = (name: string) => ({ id: life.task(name).id, name: life.task(name).name })
    assert.deepStrictEqual(difference(from, to), {
      directive: { title: { from: "Export invoices", to: "Export all invoices" } },
      steps: {
        added: [brief("Build")],
        changed: [{ ...brief("Describe"), fields: { status: { from: "ready", to: "running" } } }],
        removed: []
      },
      tasks: {
        added: [task("Build")],
        changed: [{
          ...task("Describe"),
          fields: {
            status: { from: "pending", to: "running" },
            daemonId: { from: null, to: "aaaaaaaa-0000-4000-8000-000000000000" },
            handOver: { from: 0, to: 1 }
          }
        }],
        removed: []
      },
      memories: { added: [], changed: [], removed: [{ id: "tool", name: "tool" }] }
    })
    const back = difference(to, from)
    assert.deepStrictEqual(back.steps.removed, [brief("Build")])
    assert.deepStrictEqual(back.memories.added, [{ id: "tool", name: "tool" }])
  })

  it("finds no difference between a view and itself", () => {
    const log = recorded(fixed("same", "ada", 4))
    const seen = view(stateAt(log[0]!.stream, log))
    const nothing = { added: [], changed: [], removed: [] }
    assert.deepStrictEqual(difference(seen, seen), { directive: {}, steps: nothing, tasks: nothing, memories: nothing })
  })
})
