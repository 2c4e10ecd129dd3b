import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it, layer as provided } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Queue, Result, Scope, Stream } from "effect"
import { EventLog } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import * as Migrations from "../../src/postgres/Migrations.ts"
import { holdLog, openLog, untilWaiting } from "../support/logs.ts"
import { connection, freshDatabase, layerAdmin, layerDatabase } from "../support/postgres.ts"
import { refusing } from "../support/refusing.ts"
import { facts, suite } from "./EventLogContract.ts"

const about = { at: 1_700_000_000_000 }
const layerLog = PostgresEventLog.layer.pipe(Layer.provideMerge(layerDatabase))

suite("The event log in PostgreSQL", PostgresEventLog.layer.pipe(Layer.provide(layerDatabase)))

provided(layerLog, { excludeTestServices: true })("PostgresEventLog", (it) => {
  it.effect("commits appends that wait together in few transactions", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const sql = yield* PgClient
      yield* Effect.forEach(
        Array.from({ length: 200 }, (_, i) => `grouped-${i}`),
        (stream) => log.append([{ stream, expected: 0, events: facts("a") }], about),
        { concurrency: "unbounded", discard: true }
      )
      const [row] = yield* sql<{ readonly transactions: bigint }>`
        SELECT count(DISTINCT xmin::text) AS transactions FROM events WHERE stream LIKE 'grouped-%'`
      assert.isBelow(Number(row!.transactions), 10)
    }))

  it.effect("refuses alone what PostgreSQL cannot hold", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const put = (stream: string, commandId = "command") =>
        log.append([{ stream, expected: "any", events: facts("a") }], { ...about, commandId })
      const outcomes = yield* Effect.all([
        Effect.result(put("good-1")),
        Effect.result(put("bad\0")),
        Effect.result(put("bad\ud800")),
        Effect.result(put("bad".repeat(1000))),
        Effect.result(put("bad", "\0")),
        Effect.result(put("good-2"))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), [
        "Success",
        "Failure",
        "Failure",
        "Failure",
        "Failure",
        "Success"
      ])
    }))

  it.effect("refuses alone what the database will not have, and commits the rest of its group in order", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const put = (stream: string, expected: number, value: string) =>
        Effect.result(log.append([{ stream, expected, events: facts(value) }], about))
      for (const code of ["22000", "23514", "42501", "P0001"]) {
        const streams = Array.from({ length: 20 }, (_, i) => `beside-${code}-${i}`)
        const outcomes = yield* refusing(
          { condition: "NEW.stream LIKE 'unwanted%'", code },
          Effect.forEach(streams, (stream, i) =>
            i === 7
              ? Effect.all([put("unwanted", 0, "a"), Effect.result(log.claim(["unwanted"], "claimer"))], {
                concurrency: "unbounded"
              }).pipe(Effect.map(([append, claim]) => {
                assert.strictEqual(claim._tag, "Success")
                return append
              }))
              : Effect.all([put(stream, 0, "a"), put(stream, 1, "b")], { concurrency: "unbounded" }).pipe(
                Effect.map(([first, second]) => Result.andThen(first, second))
              ), { concurrency: "unbounded" })
        )
        for (const [i, outcome] of outcomes.entries()) {
          if (i !== 7) assert.strictEqual(outcome._tag, "Success", `${streams[i]}`)
          else {
            assert.isTrue(Result.isFailure(outcome))
            assert.include(Result.getOrThrow(Result.flip(outcome)), { refused: true, outcome: "nothing" })
          }
        }
        assert.deepStrictEqual(yield* Stream.runCollect(log.read("unwanted")), [])
      }
    }))

  it.effect("does not take for refused what can go well the next time", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      for (const code of ["25006", "40001", "53100", "55P03", "57014", "XX000"]) {
        const error = yield* refusing(
          { condition: "NEW.stream = 'later'", code },
          Effect.flip(log.append([{ stream: "later", expected: 0, events: facts("a") }], about))
        )
        assert.isTrue(
          error._tag === "EventLogError" && error.refused === undefined && error.outcome === "nothing",
          code
        )
      }
    }))
})

describe("several logs on one database", () => {
  it.live("gives gapless positions in one order, and wakes the subscribers of each other", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const logs = [yield* openLog(name), yield* openLog(name)]
      const followers = yield* Effect.forEach(
        logs,
        (log) => Effect.forkScoped(Stream.runCollect(Stream.take(log.subscribe(), 800)))
      )
      yield* Effect.forEach(logs.entries(), ([l, log]) =>
        Effect.forEach([0, 1, 2, 3], (w) =>
          Effect.forEach(
            Array.from({ length: 100 }, (_, i) => i),
            (i) => log.append([{ stream: `writer-${l}-${w}`, expected: i, events: facts(`${i}`) }], about),
            { discard: true }
          ), { concurrency: "unbounded", discard: true }), { concurrency: "unbounded", discard: true })
      const all = yield* Stream.runCollect(logs[0]!.readAll())
      assert.deepStrictEqual(all.map(({ position }) => position), Array.from({ length: 800 }, (_, i) => i + 1))
      for (const follower of followers) assert.deepStrictEqual(yield* Fiber.join(follower), all)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("lets one of two win a version", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const logs = [yield* openLog(name), yield* openLog(name)]
      for (let version = 0; version < 20; version++) {
        const outcomes = yield* Effect.forEach(logs, (log) =>
          Effect.result(log.append([{ stream: "contested", expected: version, events: facts("a") }], about)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          outcomes.map(({ _tag }) =>
            _tag
          ).sort(),
          ["Failure", "Success"]
        )
      }
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("shows the same events after a restart", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const log = yield* openLog(name)
        yield* log.append([{ stream: "kept", expected: 0, events: facts("a", "b") }], { ...about, commandId: "c" })
        yield* log.append([{ stream: "kept", expected: 2, events: facts("c") }], about)
        return yield* Stream.runCollect(log.readAll())
      }))
      const log = yield* openLog(name)
      assert.strictEqual(before.length, 3)
      assert.deepStrictEqual(yield* Stream.runCollect(log.readAll()), before)
      assert.strictEqual(yield* log.head, 3)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("goes on waking its subscribers after the server has cut off its listening", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const mine = yield* openLog(name)
      const other = yield* openLog(name)
      const sql = yield* PgClient
      const put = (expected: number) => other.append([{ stream: "cut", expected, events: facts(`${expected}`) }], about)
      const seen = yield* Queue.unbounded<number>()
      yield* Effect.forkScoped(Stream.runForEach(mine.subscribe(), ({ version }) => Queue.offer(seen, version)))
      yield* put(0)
      assert.strictEqual(yield* Queue.take(seen), 1)
      const cut = yield* sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${name} AND query LIKE 'LISTEN%'`
      assert.strictEqual(cut.length, 2)
      yield* put(1)
      assert.strictEqual(yield* Queue.take(seen), 2)
      yield* put(2)
      assert.strictEqual(yield* Queue.take(seen), 3)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("says so when the connection breaks under an append, and appends again", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const log = yield* openLog(name)
      const sql = yield* PgClient
      const put = log.append([{ stream: "broken", expected: 0, events: facts("a") }], about)
      const holder = yield* holdLog(name)
      const waiting = yield* Effect.forkScoped(Effect.flip(put))
      yield* sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${name} AND wait_event_type = 'Lock'`
        .pipe(
          Effect.repeat({ until: ({ length }) => length === 1 })
        )
      const error = yield* Fiber.join(waiting)
      assert.strictEqual(error._tag, "EventLogError")
      assert.include(error.message, "The event log failed to append: ")
      yield* holder.rollback
      assert.strictEqual((yield* put).length, 1)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("settles every waiting append with an error when it closes", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const scope = yield* Scope.make()
      const log = yield* Scope.provide(openLog(name), scope)
      yield* holdLog(name)
      const put = (stream: string) =>
        Effect.forkScoped(log.append([{ stream, expected: 0, events: facts("a") }], about), { startImmediately: true })
      const first = yield* put("first")
      yield* untilWaiting(name, 1)
      const waiting = [first, ...(yield* Effect.forEach(Array.from({ length: 5000 }, (_, i) => `waiting-${i}`), put))]
      yield* Scope.close(scope, Exit.void)
      const outcomes = yield* Effect.forEach(waiting, (fiber) => Effect.flip(Fiber.join(fiber)))
      // The first is on its way and may be committed; the others have not been sent.
      assert.deepStrictEqual(
        outcomes.map((error) => error._tag === "EventLogError" ? error.outcome : error._tag),
        outcomes.map((_, i) => i === 0 ? "unknown" : "nothing")
      )
      const late = yield* Effect.flip(log.append([{ stream: "late", expected: 0, events: facts("a") }], about))
      assert.strictEqual(late.message, "The event log failed to append: it is closed")
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
})

describe("Migrations", () => {
  it.live("run once, however many begin at the same time", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient
      const name = "migrated_by_many"
      yield* sql`DROP DATABASE IF EXISTS ${sql(name)} WITH (FORCE)`
      yield* sql`CREATE DATABASE ${sql(name)}`
      yield* Effect.forEach(
        Array.from({ length: 8 }),
        () => Effect.provide(Migrations.run, layerUnmigrated(connection(name)), { local: true }),
        { concurrency: "unbounded", discard: true }
      )
      yield* sql`DROP DATABASE ${sql(name)} WITH (FORCE)`
    }).pipe(Effect.provide(layerAdmin)))
})
