/** A log that is exported and imported is the same log: its bytes, its states, its read models. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Schema, Stream, Struct } from "effect"
import * as Chain from "../../src/events/Chain.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { appendLockKey } from "../../src/events/internal/eventLogSchema.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import type { LoggedEvent } from "../../src/events/Unreadable.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import { Projections } from "../../src/projections/Projections.ts"
import { importTranscript } from "../../src/transcript/Import.ts"
import { bytesOf, formatVersion, Tally } from "../../src/transcript/Transcript.ts"
import { digestOf, verifyLog } from "../../src/transcript/Verify.ts"
import { daemons, history, inTurns } from "../projections/histories.ts"
import { snapshot } from "../projections/tables.ts"
import { now } from "../support/directive.ts"
import { connection, freshDatabase, layerAdmin } from "../support/postgres.ts"
import { exported, lives, logOf, write, type Written } from "./transcripts.ts"

const Choices = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
  .check(Schema.isMaxLength(20))

/** A store of its own, with its log. */
const store = Effect.gen(function*() {
  const name = yield* freshDatabase
  return yield* Layer.build(
    Layer.fresh(PostgresEventLog.layer.pipe(Layer.provideMerge(layerUnmigrated(connection(name)))))
  )
})

const run = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provide(Effect.scoped(effect), layerAdmin)

const importInto = (bytes: Uint8Array) => importTranscript(Stream.succeed(bytes))

const withoutPositions = Effect.flatMap(
  EventLog,
  (log) => Effect.map(Stream.runCollect(log.readAll()), (all) => all.map(Struct.omit(["position"])))
)

const readModels = Effect.scoped(Effect.gen(function*() {
  const log = yield* EventLog
  const projections = Context.get(yield* Layer.build(Layer.fresh(Projections.layer)), Projections)
  yield* projections.awaitPosition(yield* log.head)
  return yield* snapshot
}))

describe("An import", () => {
  it.live.prop("makes the same log again", [Choices], ([choices]) =>
    run(Effect.gen(function*() {
      const [source, target] = [yield* store, yield* store]
      const written: ReadonlyArray<Written> = [
        { at: now, append: daemons("ada") },
        ...inTurns(history("one", "ada", choices), history("two", "bob", choices.toReversed()))
      ]
      yield* write(written).pipe(Effect.provide(source))
      const bytes = yield* exported().pipe(Effect.provide(source))
      const { events } = yield* importInto(bytes).pipe(Effect.provide(target))
      assert.strictEqual(events, yield* Context.get(target, EventLog).head)
      assert.deepStrictEqual(yield* exported().pipe(Effect.provide(target)), bytes)
      assert.deepStrictEqual(
        yield* withoutPositions.pipe(Effect.provide(target)),
        yield* withoutPositions.pipe(Effect.provide(source))
      )
      assert.deepStrictEqual(
        yield* readModels.pipe(Effect.provide(target)),
        yield* readModels.pipe(Effect.provide(source))
      )
    })), { arbitrary: { runs: 2 } })

  it.live("takes what this version cannot read as it is, also where the log is in memory", () =>
    run(Effect.gen(function*() {
      const place = { stream: "directive-x", version: 1, schemaVersion: 7, at: now }
      const event = { _tag: "FromTheFuture", b: 1 }
      const unknown: LoggedEvent = {
        ...place,
        position: 1,
        hash: Chain.next(Chain.start, Chain.contentOf({ ...place, event })),
        event: { _tag: "Unreadable", type: event._tag, data: JSON.stringify(event), reason: "" }
      }
      const bytes = yield* exported().pipe(Effect.provide(EventLog.layerMemoryWith([unknown])))
      const target = yield* store
      yield* importInto(bytes).pipe(Effect.provide(target))
      const [found] = yield* Stream.runCollect(Context.get(target, EventLog).readAll())
      assert.strictEqual(found?.event._tag === "Unreadable" ? found.event.type : "", "FromTheFuture")
      assert.deepStrictEqual(yield* exported().pipe(Effect.provide(target)), bytes)
    })))

  it.live("of a part has the hashes that the whole has", () =>
    run(Effect.gen(function*() {
      const whole = yield* Effect.flatMap(EventLog, verifyLog).pipe(Effect.provide(logOf(lives)))
      const { directiveId } = lives[1]!.append.events[0] as Extract<DirectiveEvent, { _tag: "DirectiveCreated" }>
      const bytes = yield* exported({ _tag: "Directive", directiveId }).pipe(Effect.provide(logOf(lives)))
      const target = yield* store
      const { heads } = yield* importInto(bytes).pipe(Effect.provide(target))
      assert.strictEqual(digestOf(heads), digestOf(whole.heads.filter(({ stream }) => stream.endsWith(directiveId))))
    })))

  it.live("wakes whoever follows the log, and leaves it to be written to", () =>
    run(Effect.gen(function*() {
      const bytes = yield* exported().pipe(Effect.provide(logOf(lives)))
      const target = yield* store
      const log = Context.get(target, EventLog)
      const follower = yield* Effect.forkScoped(Stream.runHead(log.subscribe()))
      yield* importInto(bytes).pipe(Effect.provide(target))
      assert.strictEqual(Option.getOrThrow(yield* Fiber.join(follower)).position, 1)
      const head = yield* log.head
      const stream = "supervisor-a"
      const [next] = yield* log.append([{ stream, expected: 1, events: [{ _tag: "ActorStopped", address: "x" }] }], {
        at: now
      })
      assert.deepStrictEqual([next?.position, next?.version], [head + 1, 2])
      yield* verifyLog(log)
    })))

  it.live("keeps fields that only a newer version knows", () =>
    run(Effect.gen(function*() {
      const target = yield* store
      const opening = { format: "makima transcript", formatVersion, contents: { _tag: "All" }, texts: "plain" } as const
      const tally = new Tally()
      const event = { _tag: "ActorStarted", address: "x", since: "tomorrow" }
      const place = { stream: "supervisor-a", version: 1, schemaVersion: 1, at: now, event }
      const hash = Chain.next(Chain.start, Chain.contentOf(place))
      const entry = { line: 2, ...place, hash }
      for (const line of [opening, entry]) tally.add(bytesOf(line))
      tally.heads.follow(entry)
      const bytes = Buffer.concat([opening, entry, tally.closing].map(bytesOf))
      yield* importInto(bytes).pipe(Effect.provide(target))
      const log = Context.get(target, EventLog)
      assert.deepStrictEqual((yield* verifyLog(log)).heads, tally.closing.heads)
      assert.deepStrictEqual(Buffer.from(yield* exported().pipe(Effect.provide(target))), bytes)
    })))

  it.live("leaves nothing when it is cut off, however far it was", () =>
    run(Effect.gen(function*() {
      const bytes = yield* exported().pipe(Effect.provide(logOf(lives)))
      const target = yield* store
      const sql = Context.get(target, PgClient)
      const cutOff = Stream.concat(
        Stream.succeed(bytes.slice(0, -100)),
        // All but the closing line is on its way to the disk by now.
        Stream.fromEffect(
          Effect.gen(function*() {
            const [here] = yield* sql<{ readonly name: string }>`SELECT current_database() AS name`
            // Locks are those of the whole server, which other tests use as well.
            const cut = yield* (yield* PgClient)`
              SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
              WHERE datname = ${here!.name} AND locktype = 'advisory' AND objid = ${appendLockKey}`
            assert.strictEqual(cut.length, 1)
            return bytes.slice(-100)
          }).pipe(Effect.orDie, Effect.provide(layerAdmin))
        )
      )
      const exit = yield* Effect.exit(importTranscript(cutOff).pipe(Effect.provide(target)))
      assert.isTrue(Exit.isFailure(exit))
      const [row] = yield* sql<{ readonly count: bigint }>`SELECT count(*) AS count FROM events`
      assert.strictEqual(Number(row!.count), 0)
      yield* importInto(bytes).pipe(Effect.provide(target))
    })))
})

describe("A log in which an event was changed", () => {
  it.live("is not exported, and says where that is", () =>
    run(Effect.gen(function*() {
      const source = yield* store
      yield* write(lives).pipe(Effect.provide(source))
      yield* Context.get(source, PgClient)`
        UPDATE events SET data = replace(data, '"maxConcurrentTasks":4', '"maxConcurrentTasks":5') WHERE position = 2`
      const found = yield* Effect.flip(verifyLog(Context.get(source, EventLog)))
      assert.match(found.message, /^position 2 \(daemons-ada@2\): expected the hash [0-9a-f]{64}, found [0-9a-f]{64}$/)
      assert.deepStrictEqual(yield* Effect.flip(exported().pipe(Effect.provide(source))), found)
    })))
})
