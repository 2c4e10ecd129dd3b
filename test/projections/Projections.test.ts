import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Queue } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import * as Directive from "../../src/actors/Directive.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { makeApply } from "../../src/projections/internal/apply.ts"
import { Projections } from "../../src/projections/Projections.ts"
import { ReadModel } from "../../src/projections/ReadModel.ts"
import { created, started, stepIdAt, stream } from "../support/directive.ts"
import { layerDatabase } from "../support/postgres.ts"
import { comparable, expected } from "./expected.ts"
import { type Decided, recorded } from "./histories.ts"
import { another, catchUp, database, lives, write, writeEvents } from "./processes.ts"
import { logged, snapshot, tableOf } from "./tables.ts"

/** Runs with a runner, which ends with it. */
const running = <A, E, R>(
  effect: Effect.Effect<A, E, R | Projections>,
  layer: Layer.Layer<Projections, unknown, SqlClient | EventLog> = Projections.layer
) => Effect.provide(effect, Layer.fresh(layer))

/** What a runner that has everything at once makes of these. */
const madeAtOnce = (appends: ReadonlyArray<Decided>) =>
  Effect.andThen(write(appends), running(Effect.andThen(catchUp, snapshot))).pipe(
    Effect.provide(database)
  )

describe("Projections", () => {
  it.live("hold what the state holds, after every append", () =>
    running(Effect.gen(function*() {
      const readModel = yield* ReadModel
      const states = new Map<string, Directive.State>()
      for (const decided of lives) {
        yield* write([decided])
        const { events, stream } = decided.append
        if (!stream.startsWith("directive-")) continue
        yield* catchUp
        const state = events.reduce(Directive.evolve, states.get(stream) ?? Directive.empty(stream))
        states.set(stream, state)
        const found = yield* readModel.directive(state.ownerId, state.id!)
        const memories = yield* readModel.memories(state.ownerId, state.id!)
        assert.deepStrictEqual<unknown>(
          comparable(Option.getOrThrow(found), Option.getOrThrow(memories)),
          expected(state)
        )
      }
      assert.strictEqual(states.size, 3)
    })).pipe(Effect.provide(ReadModel.layer.pipe(Layer.provideMerge(database)))))

  it.live("hold the same event by event as in one batch, in PostgreSQL's log as in one in memory", () =>
    Effect.gen(function*() {
      const bit = lives.slice(0, 60)
      const single = running(Effect.gen(function*() {
        for (const { append, at } of bit) {
          for (const event of append.events) {
            yield* write([{ at, append: { ...append, expected: "any", events: [event] } } as Decided])
            yield* catchUp
          }
        }
        return yield* snapshot
      })).pipe(Effect.provide(PostgresEventLog.layer.pipe(Layer.provideMerge(layerDatabase))))
      assert.deepStrictEqual(yield* single, yield* madeAtOnce(bit))
    }))

  it.live("hold the same when they are made anew for another version", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const live = yield* running(snapshot)
      const sql = yield* SqlClient
      const name = sql(yield* tableOf("directives"))
      yield* sql`UPDATE ${name} SET title = 'as an old version made it'`
      assert.deepStrictEqual(yield* running(snapshot), { ...live, directives: yield* directives })
      assert.deepStrictEqual(yield* running(snapshot, Projections.layerVersion(2)), live)
    }).pipe(Effect.provide(database)))

  it.live("hold the same when every event is applied again", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const once = yield* running(snapshot)
      const sql = yield* SqlClient
      yield* sql`UPDATE projections SET position = 0`
      assert.deepStrictEqual(yield* running(snapshot), once)
    }).pipe(Effect.provide(database)))

  it.live("go on where they stopped", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const from: Array<number | "now" | undefined> = []
      const watched = Layer.succeed(EventLog, {
        ...log,
        subscribe: (options) => {
          from.push(options?.after)
          return log.subscribe(options)
        }
      })
      const here = Projections.layer.pipe(Layer.provide(watched))
      yield* running(Effect.void)
      const stops = [0]
      for (let index = 0; index < lives.length; index += 40) {
        yield* write(lives.slice(index, index + 40))
        stops.push(yield* log.head)
        yield* running(catchUp, here)
      }
      assert.deepStrictEqual(from, stops.slice(0, -1))
      assert.deepStrictEqual(yield* snapshot, yield* madeAtOnce(lives))
    }).pipe(Effect.provide(database)))

  it.live("are written by one process at a time", () =>
    Effect.gen(function*() {
      const runners = [yield* another(), yield* another(), yield* another()]
      yield* write(lives)
      yield* Effect.forEach(runners, (context) => Effect.provideContext(catchUp, context), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* snapshot, yield* madeAtOnce(lives))
    }).pipe(Effect.scoped, Effect.provide(database)))

  it.live("are not set back by a process that is late with what another has written", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const reached: Array<number> = []
      const events = recorded(lives.slice(1))
      yield* running(Effect.void)
      const apply = makeApply(
        sql,
        "live",
        (found) => Effect.succeed(found!),
        (position) => Effect.sync(() => void reached.push(position))
      )
      yield* apply(events, 0)
      const made = yield* snapshot
      for (const late of [events.slice(0, 1), events.slice(0, -1), events]) yield* apply(late, 0)
      assert.deepStrictEqual(yield* snapshot, made)
      assert.deepStrictEqual(reached, Array.from({ length: 4 }, () => events.length))
    }).pipe(Effect.provide(database)))

  it.effect("are waited for, but not for ever", () =>
    running(Effect.gen(function*() {
      const { awaitPosition } = yield* Projections
      const waiting = yield* Effect.forkChild(awaitPosition(2))
      yield* writeEvents([created])
      yield* writeEvents([started])
      yield* Fiber.join(waiting)
      yield* awaitPosition(1)
      const inVain = yield* Effect.forkChild(Effect.flip(awaitPosition(3, "2 seconds")))
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(inVain)
      assert.strictEqual(error.message, "The read models are at position 2, not 3, after 2000 ms")
      assert.strictEqual(error._tag, "PositionNotReached")
    })).pipe(Effect.provide(database)))

  it.live("stop at an event that cannot be applied, say which, and take nothing down", () =>
    Effect.gen(function*() {
      const { layer, texts } = yield* logged
      const problem =
        `StepReadied at position 3 (${stream}@3) cannot be applied: null value in column "directive_id" of relation "read_1_steps" ` +
        "violates not-null constraint"
      yield* running(Effect.gen(function*() {
        const { awaitPosition, progress } = yield* Projections
        yield* writeEvents([created, started, { _tag: "StepReadied", stepId: stepIdAt(1) }, { _tag: "DirectiveIdled" }])
        const error = yield* Effect.flip(awaitPosition(4))
        assert.strictEqual(error.message, `The read models stopped at position 2: ${problem}`)
        assert.strictEqual(yield* Queue.take(texts), error.message)
        yield* awaitPosition(2)
        assert.strictEqual((yield* progress).position, 2)
        assert.deepInclude((yield* directives)[0], { status: "active" })
        // Whoever starts with this in the log gets as far, and no further.
        yield* running(Effect.flip(Effect.flatMap(Projections, (again) => again.awaitPosition(4))))
      })).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(database)))

  it.live("stop at an event whose changes nobody can tell, and say which", () =>
    running(Effect.gen(function*() {
      const { awaitPosition, progress } = yield* Projections
      yield* writeEvents([created, { _tag: "StepReadied" } as never, started])
      const error = yield* Effect.flip(awaitPosition(3))
      assert.include(error.message, `at position 1: StepReadied at position 2 (${stream}@2) cannot be applied: `)
      assert.strictEqual((yield* progress).stopped, error)
    })).pipe(Effect.provide(database)))

  it.effect("wait out trouble with the database and lose nothing", () =>
    Effect.gen(function*() {
      const { layer, texts } = yield* logged
      yield* running(Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* writeEvents([created])
        yield* catchUp
        const name = sql(yield* tableOf("directives"))
        yield* sql`ALTER TABLE ${name} RENAME TO hidden`
        yield* writeEvents([started])
        for (const delay of [100, 200, 400]) {
          assert.include(yield* Queue.take(texts), `The read models wait ${delay} ms because of this:`)
          yield* TestClock.adjust(delay)
        }
        yield* Queue.take(texts)
        yield* sql`ALTER TABLE hidden RENAME TO ${name}`
        yield* TestClock.adjust("1 second")
        yield* catchUp
        assert.deepInclude((yield* directives)[0], { status: "active" })
      })).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(database)))

  it.effect("wait out a connection that breaks in the middle of a transaction", () =>
    Effect.gen(function*() {
      const { layer, texts } = yield* logged
      yield* running(Effect.gen(function*() {
        const sql = yield* SqlClient
        const name = sql(yield* tableOf("directives"))
        yield* sql`
          CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END'`
        yield* sql`CREATE TRIGGER break BEFORE INSERT ON ${name} FOR EACH ROW EXECUTE FUNCTION break()`
        yield* writeEvents([created])
        assert.include(yield* Queue.take(texts), "The read models wait 100 ms because of this:")
        yield* sql`DROP TRIGGER break ON ${name}`
        yield* TestClock.adjust("1 second")
        yield* catchUp
        assert.lengthOf(yield* directives, 1)
      })).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(database)))

  it.effect("follow when another process sets them back", () =>
    Effect.gen(function*() {
      const { layer, texts } = yield* logged
      yield* running(Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* writeEvents([created])
        yield* catchUp
        const name = sql(yield* tableOf("directives"))
        yield* sql.withTransaction(Effect.andThen(sql`TRUNCATE ${name}`, sql`UPDATE projections SET position = 0`))
        yield* writeEvents([started])
        assert.include(yield* Queue.take(texts), "another process has set them back to position 0")
        yield* TestClock.adjust("1 second")
        yield* catchUp
        assert.deepInclude((yield* directives)[0], { status: "active" })
      })).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(database)))

  it.live("are left to a process that makes another version of them", () =>
    running(Effect.gen(function*() {
      const older = yield* Projections
      yield* writeEvents([created])
      yield* older.awaitPosition(1)
      yield* running(
        Effect.gen(function*() {
          yield* writeEvents([started])
          yield* catchUp
          const error = yield* Effect.flip(older.awaitPosition(2))
          assert.strictEqual(
            error.message,
            "The read models stopped at position 1: they are of version 2 now, and this process makes version 1"
          )
        }),
        Projections.layerVersion(2)
      )
    })).pipe(Effect.provide(database)))

  it.live("take events with more text than one statement may have", () =>
    running(Effect.gen(function*() {
      const large = "🦊".repeat(1_000_000)
      yield* writeEvents([
        created,
        ...[1, 2, 3].map((key) => ({ _tag: "MemorySet" as const, key: `${key}`, value: large }))
      ])
      yield* catchUp
      const sql = yield* SqlClient
      const rows = yield* sql<{ readonly size: number }>`SELECT char_length(value) AS size FROM ${
        sql(yield* tableOf("memories"))
      }`
      assert.deepStrictEqual(rows.map(({ size }) => size), [1_000_000, 1_000_000, 1_000_000])
    })).pipe(Effect.provide(database)))
})

const directives = Effect.map(snapshot, (tables) => tables["directives"]!)
