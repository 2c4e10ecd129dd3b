/** What becomes of events that this code cannot read: their stream stops, and nobody else does. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it, layer as provided } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import * as Chain from "../../src/events/Chain.ts"
import { EventLog, type RecordedEvent } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { isReadable, type LoggedEvent, noQuarantine, separate, UnreadableEvent } from "../../src/events/Unreadable.ts"
import { history } from "../../src/replay/History.ts"
import * as LogLine from "../../src/replay/LogLine.ts"
import { layerDatabase } from "../support/postgres.ts"
import { fact, facts } from "./EventLogContract.ts"

const about = { at: 1_700_000_000_000 }

const readable = (position: number, stream: string, version: number): RecordedEvent => ({
  position,
  stream,
  version,
  schemaVersion: 1,
  at: about.at,
  hash: Chain.start,
  event: fact(`${stream}@${version}`)
})

const unreadable = (position: number, stream: string, version: number): LoggedEvent => ({
  ...readable(position, stream, version),
  event: { _tag: "Unreadable", type: "Parcel", data: "{\"_tag\":\"Parcel\"}", reason: "nobody knows it" }
})

const errorAt = (position: number, stream: string, version: number) =>
  new UnreadableEvent({ position, stream, version, type: "Parcel", schemaVersion: 1, reason: "nobody knows it" })

const past = [
  readable(1, "a", 1),
  readable(2, "b", 1),
  unreadable(3, "a", 2),
  readable(4, "a", 3),
  readable(5, "b", 2),
  unreadable(6, "c", 1),
  unreadable(7, "a", 4)
]

describe("The quarantine of streams", () => {
  it("leaves out a stream from its first event on that cannot be read, and says so once", () => {
    const separated = separate(noQuarantine, past)
    assert.deepStrictEqual(separated.events.map(({ position }) => position), [1, 2, 5])
    assert.deepStrictEqual(separated.entered, [errorAt(3, "a", 2), errorAt(6, "c", 1)])
    assert.deepStrictEqual([...separated.quarantine], [["a", errorAt(3, "a", 2)], ["c", errorAt(6, "c", 1)]])
  })

  it("is the same whatever the pages are", () => {
    const whole = separate(noQuarantine, past)
    for (const size of [1, 2, 3, 5]) {
      let { quarantine } = separate(noQuarantine, [])
      const events: Array<RecordedEvent> = []
      const entered: Array<UnreadableEvent> = []
      for (let i = 0; i < past.length; i += size) {
        const page = separate(quarantine, past.slice(i, i + size))
        events.push(...page.events)
        entered.push(...page.entered)
        quarantine = page.quarantine
      }
      assert.deepStrictEqual({ events, entered, quarantine }, whole)
    }
  })

  it("says in a sentence what is where and why it cannot be read", () => {
    assert.strictEqual(
      errorAt(3, "directive-7", 2).message,
      "The Parcel (version 1) at position 3, directive-7@2, cannot be read: nobody knows it"
    )
  })
})

describe("The event log in memory", () => {
  it.effect("fails the stream of an event that cannot be read, after what is before it", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const seen: Array<number> = []
      const error = yield* Effect.flip(
        Stream.runForEach(log.read("a"), ({ version }) => Effect.sync(() => seen.push(version)))
      )
      assert.deepStrictEqual(seen, [1])
      assert.deepStrictEqual(error, errorAt(3, "a", 2))
      assert.strictEqual((yield* Stream.runCollect(log.read("b"))).length, 2)
      assert.deepStrictEqual(yield* Stream.runCollect(log.readAll()), past)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(log.subscribe(), 7)), past)
      assert.strictEqual(yield* log.head, 7)
    }).pipe(Effect.provide(EventLog.layerMemoryWith(past))))

  it.effect("shows who looks the whole of the stream", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      assert.deepStrictEqual(
        yield* Stream.runCollect(history(log, "a")),
        past.filter(({ stream }) => stream === "a")
      )
    }).pipe(Effect.provide(EventLog.layerMemoryWith(past))))
})

const layerLog = PostgresEventLog.layer.pipe(Layer.provideMerge(layerDatabase))

provided(layerLog, { excludeTestServices: true })("The event log in PostgreSQL", (it) => {
  /** Three events of which the second has become something else. */
  const damaged = Effect.fnUntraced(
    function*(stream: string, row: { readonly type?: string; readonly version?: number; readonly data?: string }) {
      const log = yield* EventLog
      const sql = yield* PgClient
      yield* log.append([{ stream, expected: 0, events: facts("a", "b", "c") }], about)
      yield* sql`
        UPDATE events SET type = ${row.type ?? "MemorySet"}, schema_version = ${row.version ?? 1}::integer,
          data = ${row.data ?? JSON.stringify(fact("b"))}
        WHERE stream = ${stream} AND version = 2`
      return yield* Effect.flip(Stream.runCollect(log.read(stream)))
    }
  )

  it.effect("says of each event that it cannot read where it is and why", () =>
    Effect.gen(function*() {
      const reasonOf = (stream: string, row: Parameters<typeof damaged>[1]) =>
        Effect.map(damaged(stream, row), (error) => {
          assert.isTrue(error._tag === "UnreadableEvent")
          assert.strictEqual((error as UnreadableEvent).stream, stream)
          assert.strictEqual((error as UnreadableEvent).version, 2)
          return (error as UnreadableEvent).reason
        })
      assert.strictEqual(
        yield* reasonOf("unknown", { type: "NeverHeardOf" }),
        "no event type of that name is known; a newer version may have written it"
      )
      assert.strictEqual(
        yield* reasonOf("newer", { version: 2 }),
        "this log was written by a newer version, which has version 2 of it; this one knows 1"
      )
      assert.strictEqual(yield* reasonOf("older", { version: 0 }), "it has no version 0")
      assert.match(yield* reasonOf("torn", { data: "{\"_tag\":" }), /^it is not JSON: /)
      assert.strictEqual(
        yield* reasonOf("incomplete", { data: "{\"_tag\":\"MemorySet\",\"key\":\"fact\"}" }),
        "Missing key at [\"value\"]"
      )
      assert.match(yield* reasonOf("another", { type: "MemoryRemoved" }), /MemoryRemoved.*_tag/)
    }))

  it.effect("goes on for everybody else", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const start = yield* log.head
      const follower = yield* Effect.forkScoped(
        Stream.runCollect(Stream.take(log.subscribe({ after: start }), 5))
      )
      yield* damaged("quarantined", { version: 7 })
      yield* log.append([{ stream: "healthy", expected: 0, events: facts("d", "e") }], about)
      yield* Fiber.join(follower)
      const all = yield* Stream.runCollect(log.readAll({ after: start }))
      assert.deepStrictEqual(all.map(isReadable), [true, false, true, true, true])
      assert.deepStrictEqual(all[1], {
        hash: all[1]!.hash,
        position: start + 2,
        stream: "quarantined",
        version: 2,
        schemaVersion: 7,
        at: about.at,
        event: {
          _tag: "Unreadable",
          type: "MemorySet",
          data: JSON.stringify(fact("b")),
          reason: "this log was written by a newer version, which has version 7 of it; this one knows 1"
        }
      })
      assert.deepStrictEqual(
        yield* Stream.runCollect(Stream.take(log.subscribe({ after: start }), 5)),
        all
      )
      assert.strictEqual((yield* Stream.runCollect(log.read("healthy"))).length, 2)
      assert.deepStrictEqual(yield* Stream.runCollect(history(log, "quarantined")), all.slice(0, 3))
      // What has been read before is not read again.
      assert.strictEqual((yield* Stream.runCollect(log.read("quarantined", { after: 2 }))).length, 1)
    }).pipe(Effect.scoped))

  it.effect("stores with each event the version of its type", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const sql = yield* PgClient
      const [recorded] = yield* log.append([{ stream: "versioned", expected: 0, events: facts("a") }], about)
      const rows = yield* sql<{ readonly schema_version: number }>`
        SELECT schema_version FROM events WHERE stream = 'versioned'`
      assert.deepStrictEqual(rows.map((row) => row.schema_version), [recorded!.schemaVersion])
    }))
})

describe("LogLine", () => {
  it("shows an event that cannot be read as such", () => {
    const logged = unreadable(42, "directive-7", 3)
    assert.strictEqual(
      LogLine.human(logged),
      "     42 2023-11-14T22:13:20.000Z directive-7@3 Parcel UNREADABLE schemaVersion=1 reason=\"nobody knows it\""
    )
    assert.strictEqual(
      JSON.stringify(LogLine.json(logged)),
      `{"position":42,"stream":"directive-7","version":3,"at":${about.at},"type":"Parcel","schemaVersion":1,"event":` +
        "{\"_tag\":\"Unreadable\",\"type\":\"Parcel\",\"data\":\"{\\\"_tag\\\":\\\"Parcel\\\"}\"," +
        "\"reason\":\"nobody knows it\"}}"
    )
  })
})
