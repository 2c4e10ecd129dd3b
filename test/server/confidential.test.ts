/**
 * Goal: whatever the database says of a failure is in the log of the server, and in nothing that the server answers.
 *
 * Method: a whole server on a real PostgreSQL that fails with a text which says a host, a statement and a value, or that lacks
 * a table. Everything that is answered over HTTP and over a daemon's WebSocket is searched for that.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Logger, Queue, Stream } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import * as Directive from "../../src/actors/Directive.ts"
import * as DaemonEndpoint from "../../src/daemon/DaemonEndpoint.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { AnswerMillisMax } from "../../src/server/internal/problems.ts"
import { RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { refusing } from "../support/refusing.ts"
import { type Answer, ask, Keys, layerRuntime, newDirective, tell } from "./server.ts"

/** What the log of the server has. */
class Logged extends Context.Service<Logged, Array<string>>()("test/Logged") {}

const layerServer = Layer.unwrap(
  Effect.map(Logged, (logged) =>
    HttpServer.layer({ host: "127.0.0.1", port: 0 }, DaemonEndpoint.layer).pipe(
      Layer.provideMerge(layerRuntime),
      Layer.provide([
        Layer.succeed(RequestsPerSecond, 100_000),
        Layer.succeed(AnswerMillisMax, 1_000),
        Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void logged.push(line))])
      ])
    ))
).pipe(Layer.provideMerge(Layer.sync(Logged, () => [])))

const host = "db-7.internal"
const statement = "INSERT INTO vault"
const value = "hunter2"
const detail = `could not connect to ${host}: ${statement} VALUES (${value})`

const failing = <A, E, R>(table: string, condition: string, code: string, during: Effect.Effect<A, E, R>) =>
  refusing({ table, condition, code, text: detail }, during)

/** What is said instead. */
const reason = "the event log refused what it had to record; the server's log says why"

const isQuiet = (text: string) => {
  for (const word of [host, statement, value, "relation", "SELECT", "append_events", "SqlError", "PgClient"]) {
    assert.notInclude(text, word)
  }
}

const isQuietly503 = ({ body, headers, status }: Answer, code: string) => {
  assert.deepStrictEqual([status, body.error.code], [503, code], JSON.stringify(body))
  assert.strictEqual(headers.get("retry-after"), "1")
  isQuiet(JSON.stringify(body))
}

layer(layerServer, { excludeTestServices: true })("What the database says of a failure", (it) => {
  it.effect("of an append is in the log and in the supervisor's events, and not in the answer", () =>
    Effect.gen(function*() {
      const logged = yield* Logged
      const log = yield* EventLog
      const id = yield* newDirective()
      const address = Directive.streamOf(id)
      const refused = yield* failing(
        "events",
        `NEW.stream = '${address}'`,
        "P0001",
        ask(`PUT /api/v1/directives/${id}/memories/key`, { body: { value: "kept" } })
      )
      isQuietly503(refused, "ActorUnavailable")
      assert.include(refused.body.error.message, address)
      assert.include(refused.body.error.message, reason)
      assert.isTrue(logged.some((line) => line.includes(host) && line.includes(address)), logged.join("\n"))
      const failed = yield* log.subscribe({ after: 0 }).pipe(
        Stream.filter(({ event }) => event._tag === "ActorFailed" && event.address === address),
        Stream.runHead
      )
      assert.include(JSON.stringify(failed), detail)
      // It is back by itself, with nothing lost.
      yield* tell(`PUT /api/v1/directives/${id}/memories/key`, { body: { value: "kept" } })
    }))

  it.effect("of a read is in no answer of any route", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const logged = yield* Logged
      const id = yield* newDirective()
      // Nothing in this process knows of it.
      const other = "99999999-0000-4000-8000-000000000000"
      const routes: ReadonlyArray<readonly [route: string, body?: object]> = [
        [`GET /api/v1/directives/${id}/events`],
        [`GET /api/v1/directives/${id}/why`],
        [`GET /api/v1/directives/${other}`],
        [`GET /api/v1/tasks/${other}`],
        [`GET /api/v1/directives/${other}/memories`],
        [`POST /api/v1/directives/${other}/start`],
        [`POST /api/v1/directives/${id}/start`],
        ["POST /api/v1/directives", { title: "Greet", goal: "Say hello" }],
        ["GET /readyz"]
      ]
      yield* sql.unsafe("ALTER TABLE events RENAME TO mislaid")
      const answers = yield* Effect.forEach(
        routes,
        ([route, body]) => Effect.map(ask(route, { body }), (answer) => ({ route, ...answer }))
      ).pipe(Effect.ensuring(Effect.orDie(sql.unsafe("ALTER TABLE mislaid RENAME TO events"))))
      for (const { body, route, status } of answers) {
        assert.strictEqual(status, 503, `${route} ${JSON.stringify(body)}`)
        isQuiet(JSON.stringify(body))
      }
      assert.isTrue(logged.some((line) => line.includes("relation") && line.includes("does not exist")))
    }))

  it.effect("has nothing of an event that cannot be read but what it is", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const id = yield* newDirective()
      const stream = Directive.streamOf(id)
      const [event] = yield* sql<{ readonly position: bigint }>`
        UPDATE events SET schema_version = 99, data = ${JSON.stringify({ host, value })} WHERE stream = ${stream}
        RETURNING position`
      const answer = yield* ask(`GET /api/v1/directives/${id}/why`)
      isQuietly503(answer, "UnreadableEvent")
      const what = `the DirectiveCreated (version 99) at position ${event!.position}`
      assert.include(answer.body.error.message, `cannot read ${what} of this directive; its log and`)
    }))

  it.effect("is not what a daemon is told that cannot be let in", () =>
    Effect.gen(function*() {
      const { alice } = yield* Keys
      const logged = yield* Logged
      const url = yield* HttpServer.url
      const before = logged.length
      yield* failing(
        "events",
        "NEW.stream LIKE 'daemons-%'",
        "P0001",
        Effect.gen(function*() {
          const frames = yield* Queue.unbounded<string>()
          const closed = yield* Deferred.make<{ readonly code: number; readonly reason: string }>()
          const socket = new WebSocket(`${url.replace(/^http/, "ws")}/ws/daemon`)
          socket.addEventListener("message", ({ data }) => Queue.offerUnsafe(frames, data))
          socket.addEventListener("close", ({ code, reason }) =>
            Deferred.doneUnsafe(closed, Effect.succeed({ code, reason })))
          socket.addEventListener("open", () =>
            socket.send(JSON.stringify({
              type: "authenticate",
              apiKey: alice,
              machineId: "one",
              hostname: "one",
              maxConcurrentTasks: 1
            })))
          const frame = yield* Queue.take(frames)
          const { code, message } = JSON.parse(frame)
          assert.strictEqual(code, "unavailable")
          assert.include(message, reason)
          isQuiet(frame)
          const end = yield* Deferred.await(closed)
          assert.deepStrictEqual(end, { code: 1008, reason: "unavailable" })
        })
      )
      assert.isTrue(
        logged.slice(before).some((line) =>
          line.includes(host)
        )
      )
    }))

  it.effect("that stops the read models is in the log, and not in what readers are told", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const logged = yield* Logged
      const [table] = yield* sql<{ readonly name: string }>`
        SELECT tablename AS name FROM pg_tables WHERE tablename LIKE '%directives' AND schemaname = current_schema()`
      const id = yield* newDirective()
      yield* failing(
        table!.name,
        "true",
        "22000",
        Effect.gen(function*() {
          const { position } = yield* tell(`POST /api/v1/directives/${id}/start`)
          for (const route of [`GET /api/v1/directives/${id}?after=${position}`, "GET /readyz"]) {
            const answer = yield* ask(route)
            isQuietly503(answer, "ProjectionsStopped")
            assert.match(
              answer.body.error.message,
              /^The read models stopped at position \d+; the server's log says why$/
            )
          }
        })
      )
      assert.isTrue(logged.some((line) => line.includes("read models") && line.includes(host)))
    }))
})
