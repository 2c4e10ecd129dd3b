import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Result, Schedule } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { EventLog } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { layerBundled, layerUnmigrated } from "../../src/postgres/Database.ts"
import { stored } from "../../src/projections/internal/generations.ts"
import { Projections, type RebuildFailed } from "../../src/projections/Projections.ts"
import type { ReadModel } from "../../src/projections/ReadModel.ts"
import { connection, layerDatabase } from "../support/postgres.ts"
import { postmasterOf } from "../support/postmaster.ts"
import { temporaryFolder } from "../support/temporary.ts"
import { type Life, life, live, look } from "./load.ts"
import { catchUp, served } from "./processes.ts"
import { allTables, tableOf } from "./tables.ts"

const lives = (round: number) =>
  ["one", "two", "three"].map((name, index) => life(`${name} ${round}`, "ada", round * 10 + index, 40))

const processOn = <E>(database: Layer.Layer<SqlClient, E>) =>
  served().pipe(Layer.provideMerge(Layer.fresh(PostgresEventLog.layer)), Layer.provideMerge(database))

const databaseName = Effect.map(
  Effect.flatMap(SqlClient, (sql) => sql<{ readonly name: string }>`SELECT current_database() AS name`),
  ([row]) => row!.name
)

/** One more process on the same database, with a log of its own, until the scope closes. */
const anotherProcess = Effect.flatMap(
  databaseName,
  (name) => Layer.build(processOn(Layer.fresh(layerUnmigrated(connection(name)))))
)

const quiet = Effect.provide(Logger.layer([]))

/** Writes lives until it is enough, does the others over and over meanwhile, and looks at all of it in the end. */
const whileLiving = Effect.fnUntraced(function*(
  all: Array<Life>,
  enough: () => boolean,
  others: ReadonlyArray<Effect.Effect<unknown, RebuildFailed, Projections | ReadModel>>
) {
  const living = Effect.gen(function*() {
    do {
      const more = lives(all.length)
      all.push(...more)
      yield* Effect.forEach(more, live, { concurrency: "unbounded", discard: true })
    } while (!enough())
  })
  const loops = others.map((other) => Effect.forever(other))
  yield* Effect.raceFirst(living, Effect.all(loops, { concurrency: "unbounded", discard: true }))
  yield* look(all)
})

/** Watches that what readers are told never goes back. */
const onlyForward = () => {
  let last = 0
  return Effect.gen(function*() {
    const { progress } = yield* Projections
    const now = yield* Effect.result(progress)
    if (Result.isFailure(now)) return
    assert.isAtLeast(now.success.position, last)
    last = now.success.position
  })
}

const isAsTheLogSays = Effect.gen(function*() {
  const { check } = yield* Projections
  yield* catchUp
  const { differences, position } = yield* check()
  assert.deepStrictEqual(differences, [])
  assert.strictEqual(position, yield* Effect.flatMap(EventLog, ({ head }) => head))
  assert.lengthOf(yield* allTables, 6)
})

/** A process in the middle of something, killed when the scope closes if not before. */
const projector = Effect.fnUntraced(function*(task: "follow" | "rebuild", until: string) {
  const name = yield* databaseName
  return yield* Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const script = join(import.meta.dirname, "../support/projector.ts")
      const child = spawn(process.execPath, [script, JSON.stringify(connection(name)), task], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      child.stdout.on("data", (said) => String(said).includes(until) && resume(Effect.succeed(child)))
    }),
    kill
  )
})

const kill = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

describe("Read models under load", () => {
  it.live("show no less than before while two processes rebuild them again and again", () =>
    Effect.gen(function*() {
      const other = yield* anotherProcess
      const all: Array<Life> = []
      let rebuilt = 0
      const rebuild = Effect.gen(function*() {
        const { rebuild } = yield* Projections
        assert.deepStrictEqual((yield* rebuild()).differences, [])
        rebuilt += 1
      })
      yield* whileLiving(all, () => rebuilt > 3, [
        look(all),
        onlyForward(),
        Effect.provideContext(look(all), other),
        rebuild,
        Effect.provideContext(rebuild, other)
      ])
      yield* isAsTheLogSays
      yield* Effect.provideContext(isAsTheLogSays, other)
    }).pipe(Effect.scoped, Effect.provide(processOn(layerDatabase)), quiet))

  it.live("lose nothing to a process that is killed while it keeps them up", () =>
    Effect.gen(function*() {
      const follower = yield* projector("follow", "following")
      const all: Array<Life> = []
      let looks = 0
      yield* whileLiving(all, () => looks > 10, [
        look(all),
        Effect.suspend(() => (looks += 1) === 10 ? kill(follower) : look(all))
      ])
      assert.strictEqual(follower.signalCode, "SIGKILL")
      yield* isAsTheLogSays
    }).pipe(Effect.scoped, Effect.provide(processOn(layerDatabase)), quiet))

  it.live("are rid of what a process left that was killed in a rebuild, and are rebuilt by the next", () =>
    Effect.gen(function*() {
      const all: Array<Life> = []
      const name = yield* databaseName
      yield* whileLiving(all, () => true, [look(all)])
      const rebuilder = yield* projector("rebuild", "halfway")
      assert.lengthOf(yield* allTables, 12)
      // Who comes meanwhile leaves it alone.
      yield* Effect.scoped(anotherProcess)
      assert.lengthOf(yield* allTables, 12)
      yield* kill(rebuilder)
      const freed = SqlClient.use((sql) =>
        sql`SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = ${name})`
      )
      while ((yield* freed).length > 0) yield* Effect.yieldNow
      yield* Effect.scoped(anotherProcess)
      assert.lengthOf(yield* allTables, 6)
      yield* isAsTheLogSays
      const { rebuild } = yield* Projections
      yield* rebuild()
      yield* look(all)
      assert.include(yield* tableOf("steps"), "read_")
    }).pipe(Effect.scoped, Effect.provide(processOn(layerDatabase)), quiet))

  it.live("show no less than before when the server is killed under them and comes back", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      yield* Effect.gen(function*() {
        const { rebuild } = yield* Projections
        const all: Array<Life> = []
        let reports = 0
        yield* whileLiving(all, () => reports > 6, [
          look(all),
          onlyForward(),
          Effect.tap(
            rebuild(() =>
              Effect.sync(() => {
                reports += 1
                if (reports === 3) process.kill(postmasterOf(directory)!, "SIGKILL")
              })
            ),
            ({ differences }) => Effect.sync(() => assert.deepStrictEqual(differences, []))
          )
        ])
        yield* isAsTheLogSays
        // Also when nothing comes afterwards that would have it noticed.
        yield* live(life("last", "ada", 99, 1))
        const told = yield* Effect.flatMap(EventLog, ({ head }) => head)
        process.kill(postmasterOf(directory)!, "SIGKILL")
        const left = yield* SqlClient.use((sql) => stored(sql, "live")).pipe(Effect.retry(Schedule.spaced("20 millis")))
        assert.strictEqual(left?.position, told)
      }).pipe(Effect.provide(processOn(layerBundled(directory))))
    }).pipe(Effect.scoped, quiet))
})
