/**
 * Goal: a directive that fails for good is parked, and whoever asks is told since when and why.
 *
 * Method: a whole server on a real PostgreSQL that refuses the events of one stream, or has one that cannot be read.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import * as Directive from "../../src/actors/Directive.ts"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { SupervisorPolicy } from "../../src/actors/SupervisorActor.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { refusing } from "../support/refusing.ts"
import { ask, layerRuntime, newDirective, tell } from "./server.ts"

const server = HttpServer.layer({ host: "127.0.0.1", port: 0 }, Layer.empty).pipe(
  Layer.provideMerge(layerRuntime),
  Layer.provide([
    Layer.succeed(RequestsPerSecond, 100_000),
    Layer.succeed(SupervisorPolicy, { ...defaultPolicy, restartDelayMillis: 1 })
  ])
)

const untilParked = (route: string) =>
  ask(route, { body: {} }).pipe(
    Effect.repeat({ until: ({ body, status }) => status === 503 && body.error.code === "ActorParked" })
  )

layer(server, { excludeTestServices: true })("A directive", (it) => {
  it.effect("whose events the database refuses is parked while others go on, and runs again once it may", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const id = yield* newDirective()
      const other = yield* newDirective()
      const address = Directive.streamOf(id)
      yield* refusing(
        { condition: `NEW.stream = '${address}'`, code: "23514" },
        Effect.gen(function*() {
          const { error } = (yield* untilParked(`POST /api/v1/directives/${id}/start`)).body
          const reason = "the event log refused what it had to record; the server's log says why"
          assert.strictEqual(error.details.parked.cause, reason)
          assert.include(error.message, reason)
          assert.deepStrictEqual((yield* tell(`GET /api/v1/directives/${id}/why`)).parked, error.details.parked)
          yield* tell(`POST /api/v1/directives/${other}/start`, { body: {} })
          const failures = yield* sql`
            SELECT 1 FROM events WHERE type = 'ActorFailed' AND data::jsonb ->> 'address' = ${address}`
          assert.strictEqual(failures.length, 6)
        })
      )
      yield* tell(`POST /api/v1/directives/${id}/resume`, { body: {} })
      assert.strictEqual((yield* tell(`POST /api/v1/directives/${id}/start`, { body: {} })).status, "active")
    }))

  it.effect("that cannot be read and is parked for it says since when, to its owner", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const id = yield* newDirective()
      const { position } = yield* tell(`POST /api/v1/directives/${id}/start`, { body: {} })
      yield* tell(`GET /api/v1/directives/${id}?after=${position}`)
      yield* sql`UPDATE events SET schema_version = 99 WHERE position = ${position}`
      const why = `GET /api/v1/directives/${id}/why`
      assert.strictEqual((yield* ask(why)).body.error.code, "UnreadableEvent")
      // Its actor has it in memory, and reads it again only once it has failed.
      const address = Directive.streamOf(id)
      yield* refusing(
        { condition: `NEW.stream = '${address}'`, code: "P0001" },
        untilParked(`POST /api/v1/directives/${id}/pause`)
      )
      const { body, status } = yield* ask(why)
      assert.deepStrictEqual([status, body.error.code], [503, "ActorParked"])
      assert.match(
        body.error.message,
        /is parked since \d{4}-.*: the .* \(version 99\) at position \d+, .* cannot be read\. .*resume/
      )
      assert.deepStrictEqual((yield* tell(`GET /api/v1/directives/${id}`)).parked, body.error.details.parked)
      assert.notProperty((yield* ask(why, { as: "bob" })).body.error, "details")
    }))
})
