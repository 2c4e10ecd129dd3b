/** The constants of tests about directives: fixed, never random. */
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { DaemonId, derivedId, DirectiveId, OwnerId, StepId, TaskId } from "../../src/events/Ids.ts"

export const directiveId = DirectiveId.make("7b3c1f02-1111-4a6e-9c2d-0123456789ab")
export const ownerId = OwnerId.make("ada")
export const stream = Directive.streamOf(directiveId)
export const daemonA = DaemonId.make("aaaaaaaa-0000-4000-8000-000000000000")
export const daemonB = DaemonId.make("bbbbbbbb-0000-4000-8000-000000000000")
export const unknownStep = StepId.make("00000000-0000-4000-8000-000000000404")
export const unknownTask = TaskId.make("00000000-0000-4000-8000-000000000405")

/** 2026-01-01T00:00:00Z. */
export const now = 1_767_225_600_000
export const context: Directive.Context = { now, policy: Directive.defaultPolicy }

/** The id of what the event at `version` introduces. */
export const taskIdAt = (version: number): TaskId => TaskId.make(derivedId(stream, version))
export const stepIdAt = (version: number): StepId => StepId.make(derivedId(stream, version))

export const created: DirectiveEvent = {
  _tag: "DirectiveCreated",
  directiveId,
  ownerId,
  title: "Export invoices",
  goal: "Invoices can be exported as CSV.",
  repositoryUrl: "https://example.test/shop.git",
  baseBranch: "main",
  memoryEnabled: false
}
export const started: DirectiveEvent = { _tag: "DirectiveStarted" }
