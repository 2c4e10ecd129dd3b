import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Queue, Schema } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Projections } from "../../src/projections/Projections.ts"
import { ReadModel } from "../../src/projections/ReadModel.ts"
import { summary } from "../../src/projections/Rebuild.ts"
import { created, started, stepIdAt } from "../support/directive.ts"
import { fixed, history, inTurns } from "./histories.ts"
import { another, catchUp, database, halting, lives, readAs, served, write, writeEvents } from "./processes.ts"
import { allTables, logged, snapshot, tableOf } from "./tables.ts"

const Choices = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
  .check(Schema.isMaxLength(40))

const running = served().pipe(Layer.provideMerge(database))

const tablesOf = (generation: number) =>
  ["daemons", "directives", "memories", "quarantine", "steps", "tasks"].map((name) => `read_${generation}_${name}`)

const directivesOfAda = Effect.gen(function*() {
  const { listDirectives } = yield* ReadModel
  const { items } = yield* listDirectives({ ownerId: "ada", limit: 10 })
  return items.length
})

describe("A rebuild", () => {
  it.live.prop("makes from zero what is live, for any history", [Choices], ([choices]) =>
    Effect.gen(function*() {
      const { check, rebuild } = yield* Projections
      yield* write(inTurns(history("one", "ada", choices), history("two", "bob", choices.toReversed())))
      yield* catchUp
      const live = yield* snapshot
      const checked = yield* check()
      assert.deepStrictEqual(checked.differences, [])
      for (const { live, made } of checked.tables) assert.deepStrictEqual(made, live)
      const rebuilt = yield* rebuild()
      assert.deepStrictEqual(rebuilt.tables, checked.tables)
      assert.deepStrictEqual(yield* snapshot, live)
    }).pipe(Effect.provide(running)), { arbitrary: { runs: 6 } })

  it.live("goes on beside reads and writes, and tells how far it is", () =>
    Effect.gen(function*() {
      const { progress, rebuild } = yield* Projections
      const context = yield* Effect.context<Effect.Services<typeof catchUp> | ReadModel | SqlClient>()
      yield* write(lives)
      yield* catchUp
      let told = 0
      const report = yield* rebuild((now) =>
        Effect.gen(function*() {
          told += 1
          assert.isAtMost(now.position, now.target)
          assert.deepStrictEqual((yield* progress).rebuild, now)
          if (told > 1) return
          assert.deepStrictEqual(yield* allTables, [...tablesOf(1), ...tablesOf(2)])
          assert.strictEqual(yield* directivesOfAda, 2)
          yield* write(fixed("meanwhile", "ada", 4))
          yield* catchUp
          assert.strictEqual(yield* directivesOfAda, 3)
        }).pipe(Effect.provideContext(context), Effect.orDie)
      )
      const after = yield* progress
      assert.strictEqual(report.position, after.head)
      assert.deepInclude(after, { position: after.head, stopped: undefined, rebuild: undefined })
      assert.isAbove(told, 1)
      assert.strictEqual(yield* directivesOfAda, 3)
      assert.deepStrictEqual(yield* allTables, tablesOf(2))
      yield* write(fixed("afterwards", "ada", 5))
      yield* catchUp
      assert.strictEqual(yield* directivesOfAda, 4)
    }).pipe(Effect.provide(running)))

  it.live("finds what is not as the log has it, and puts it right if that was asked for", () =>
    Effect.gen(function*() {
      const { layer, texts } = yield* logged
      const sql = yield* SqlClient
      yield* write(lives)
      yield* Effect.gen(function*() {
        const { check, rebuild } = yield* Projections
        const right = yield* snapshot
        const [titled, dropped] = [right["directives"]![1], right["steps"]![0]] as ReadonlyArray<
          { readonly id: string }
        >
        yield* sql`UPDATE ${sql(yield* tableOf("directives"))} SET title = 'wrong' WHERE id = ${titled!.id}`
        yield* sql`DELETE FROM ${sql(yield* tableOf("steps"))} WHERE id = ${dropped!.id}`
        const { differences, ...report } = yield* check()
        assert.deepStrictEqual(differences, [
          {
            table: "directives",
            rows: 1,
            first: { id: titled!.id, live: { ...titled, title: "wrong" }, made: titled }
          },
          { table: "steps", rows: 1, first: { id: dropped!.id, live: null, made: dropped } }
        ])
        const text = summary({ differences, ...report })
        assert.strictEqual(yield* Queue.take(texts), text)
        assert.include(
          text,
          `; the live ones differ: directives in 1 rows, the first ${titled!.id}; steps in 1 rows, the first ${
            dropped!.id
          }`
        )
        assert.notDeepEqual(yield* snapshot, right, "a check changes nothing")
        assert.deepStrictEqual(yield* allTables, tablesOf(1))
        yield* rebuild()
        assert.deepStrictEqual(yield* snapshot, right)
        assert.deepStrictEqual((yield* check()).differences, [])
      }).pipe(Effect.provide(served()), Effect.provide(layer))
    }).pipe(Effect.provide(database)))

  it.live("of a newer version is made while the older one serves, and takes its readers over", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const older = yield* another(1)
      const { goOn, halted, log } = yield* halting
      const starting = yield* Effect.forkChild(another(2, log))
      yield* halted
      yield* Effect.gen(function*() {
        yield* write(fixed("meanwhile", "ada", 4))
        yield* catchUp
        assert.strictEqual(yield* directivesOfAda, 3)
      }).pipe(Effect.provideContext(older))
      const right = yield* snapshot
      yield* goOn
      const newer = yield* Fiber.join(starting)
      assert.deepStrictEqual(yield* snapshot, right)
      assert.deepStrictEqual(yield* allTables, tablesOf(2))
      assert.strictEqual(yield* Effect.provideContext(directivesOfAda, newer), 3)

      const problem = "they are of version 2 now, and this process makes version 1"
      const { awaitPosition, progress } = Context.get(older, Projections)
      assert.strictEqual((yield* progress).stopped?.problem, problem)
      const unread = yield* Effect.flip(Effect.provideContext(directivesOfAda, older))
      assert.include(unread.message, "the read models are of version 2, and this process reads version 1")
      yield* writeEvents([created])
      yield* Effect.provideContext(catchUp, newer)
      const [{ position }, error] = [yield* progress, yield* Effect.flip(awaitPosition(1_000_000))]
      assert.include(error.message, problem)
      assert.strictEqual(position, 0)
    }).pipe(Effect.scoped, Effect.provide(database)))

  it.live("is made once by processes of a new version that start together", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const right = yield* Effect.provide(snapshot, served(1))
      const processes = yield* Effect.all([another(2), another(2), another(2)], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* allTables, tablesOf(2))
      for (const one of processes) assert.strictEqual(yield* Effect.provideContext(directivesOfAda, one), 2)
      assert.deepStrictEqual(yield* snapshot, right)
    }).pipe(Effect.scoped, Effect.provide(database)))

  it.live("takes the place of a newer version only if it is asked for", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const newer = yield* another(2)
      const right = yield* snapshot
      const older = yield* another(1)
      const { awaitPosition, rebuild } = Context.get(older, Projections)
      const error = yield* Effect.flip(awaitPosition(1))
      assert.include(error.message, "they are of version 2 now, and this process makes version 1")
      assert.strictEqual(yield* Effect.provideContext(directivesOfAda, newer), 2)
      const refused = yield* Effect.flip(Context.get(older, Projections).check())
      assert.strictEqual(
        refused.message,
        "The check of the read models failed: the live ones are of version 2, and this process makes version 1"
      )
      const report = yield* rebuild()
      assert.strictEqual(report.live?.version, 2)
      assert.include(summary(report), "; version 2 was not compared")
      yield* awaitPosition(1)
      assert.strictEqual(yield* Effect.provideContext(directivesOfAda, older), 2)
      assert.deepStrictEqual(yield* snapshot, right)
      assert.include((yield* Context.get(newer, Projections).progress).stopped?.problem, "version 1 now")
    }).pipe(Effect.scoped, Effect.provide(database)))

  it.live("that is interrupted leaves nothing behind, at any moment", () =>
    Effect.gen(function*() {
      const { rebuild } = yield* Projections
      yield* write(lives)
      yield* catchUp
      const right = yield* snapshot
      const whole = yield* rebuild()
      for (let part = 0; part < 8; part += 1) {
        const fiber = yield* Effect.forkChild(rebuild())
        yield* Effect.timeoutOption(Fiber.await(fiber), whole.millis * part / 8)
        yield* Fiber.interrupt(fiber)
        assert.lengthOf(yield* allTables, tablesOf(1).length)
        assert.deepStrictEqual(yield* snapshot, right)
      }
      assert.deepStrictEqual((yield* rebuild()).differences, [])
    }).pipe(Effect.provide(running)))

  it.live("that meets an event which cannot be applied says which, and the older version serves on", () =>
    Effect.gen(function*() {
      yield* writeEvents([created, started])
      const older = yield* another(1)
      const log = yield* readAs((recorded) =>
        recorded.position === 2 ? { ...recorded, event: { _tag: "StepReadied", stepId: stepIdAt(1) } } : recorded
      )
      const newer = yield* another(2, log)
      const place = `StepReadied at position 2 (directive-7b3c1f02-1111-4a6e-9c2d-0123456789ab@2) cannot be applied: `
      const { progress, rebuild } = Context.get(newer, Projections)
      const { position, stopped } = yield* progress
      assert.strictEqual(position, 0)
      assert.include(stopped?.problem, place)
      assert.include((yield* Effect.flip(rebuild())).message, `The rebuild of the read models failed: ${place}`)
      assert.deepStrictEqual(yield* allTables, tablesOf(1))
      yield* writeEvents([{ _tag: "DirectiveIdled" }])
      yield* Effect.provideContext(catchUp, older)
      assert.deepInclude((yield* snapshot)["directives"]![0], { status: "idle" })
    }).pipe(Effect.scoped, Effect.provide(database)))

  it.live("waits for readers of the old tables, and keeps later ones waiting for a moment only", () =>
    Effect.gen(function*() {
      const { rebuild } = yield* Projections
      const sql = yield* SqlClient
      yield* write(lives)
      yield* catchUp
      const reading = yield* Deferred.make<void>()
      const read = yield* Deferred.make<void>()
      const name = yield* tableOf("steps")
      const slow = yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT FROM ${sql(name)}`
        yield* Deferred.succeed(reading, undefined)
        yield* Deferred.await(read)
        return yield* sql`SELECT FROM ${sql(name)}`
      })).pipe(Effect.forkChild)
      yield* Deferred.await(reading)
      const made = yield* Effect.forkChild(rebuild())
      const waiting = sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'`
      while ((yield* waiting).length === 0) yield* Effect.yieldNow
      assert.strictEqual(yield* directivesOfAda, 2)
      yield* writeEvents([created])
      yield* catchUp
      yield* Deferred.succeed(read, undefined)
      assert.isAbove((yield* Fiber.join(slow)).length, 0)
      yield* Fiber.join(made)
      assert.deepStrictEqual(yield* allTables, tablesOf(2))
    }).pipe(Effect.provide(running)))
})
