import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { layerServer, newDirective, tell } from "./server.ts"

layer(layerServer, { excludeTestServices: true })("What a request leads to", (it) => {
  it.effect("carries the id of the request: its idempotency key, or else one of its own", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const id = yield* newDirective({}, { headers: { "idempotency-key": "key-1" } })
      yield* tell(`POST /api/v1/directives/${id}/start`)
      yield* tell(`POST /api/v1/directives/${id}/pause`)
      const events = yield* Stream.runCollect(log.read(Directive.streamOf(id)))
      assert.deepStrictEqual(events.map(({ causationId, event }) => [event._tag, causationId]), [
        ["DirectiveCreated", "CreateDirective"],
        ["CommandAnswered", `directive-${id}@1`],
        ["DirectiveStarted", "StartDirective"],
        ["TaskCreated", `directive-${id}@3`],
        ["DirectivePaused", "PauseDirective"]
      ])
      const [created, answered, started, planned, paused] = events.map(({ correlationId }) => correlationId!)
      assert.deepStrictEqual([created, answered], ["key-1", "key-1"])
      assert.strictEqual(planned, started)
      assert.strictEqual(new Set([created, started, paused]).size, 3)
    }))
})
