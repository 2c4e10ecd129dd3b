/** Event logs of several processes on one database, and transactions that do not come to their end. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { Context, Deferred, Effect, Fiber, Layer } from "effect"
import { EventLog, type StreamAppend } from "../../src/events/EventLog.ts"
import * as Commit from "../../src/events/internal/commit.ts"
import { appendLockKey } from "../../src/events/internal/eventLogSchema.ts"
import { type PendingAppend, toAppend } from "../../src/events/internal/pending.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import { connection } from "./postgres.ts"

type Config = Parameters<typeof layerUnmigrated>[0]

/** A log as a process of its own has it: with a pool and a committer of its own on the same database. */
export const openLog = (database: string, config: Config = {}) =>
  Effect.map(
    Layer.build(
      Layer.fresh(PostgresEventLog.layer.pipe(Layer.provide(layerUnmigrated({ ...connection(database), ...config }))))
    ),
    (context) => Context.get(context, EventLog)
  )

/** A writer that is idle within a transaction that has the log, after it has appended something there. */
export const holdLog = Effect.fnUntraced(function*(database: string, appended: ReadonlyArray<StreamAppend> = []) {
  const held = yield* Deferred.make<void>()
  const end = yield* Deferred.make<void, "rollback">()
  const fiber = yield* Effect.gen(function*() {
    const sql = yield* PgClient
    yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`SELECT pg_advisory_xact_lock(${appendLockKey})`
      if (appended.length > 0) {
        const reply: PendingAppend["reply"] = Deferred.makeUnsafe()
        const pending = toAppend(appended, { at: 1_700_000_000_000 }, reply)
        yield* sql.unsafe(Commit.statement, Commit.encode([pending]).parameters)
      }
      yield* Deferred.succeed(held, undefined)
      yield* Deferred.await(end)
    }))
  }).pipe(Effect.provide(layerUnmigrated(connection(database))), Effect.exit, Effect.forkScoped)
  yield* Deferred.await(held)
  return {
    commit: Effect.andThen(Deferred.succeed(end, undefined), Fiber.join(fiber)),
    rollback: Effect.andThen(Deferred.fail(end, "rollback"), Fiber.join(fiber))
  }
})

/** Waits until so many connections to a database wait for a lock. */
export const untilWaiting = (database: string, count: number) =>
  PgClient.use((sql) =>
    sql`SELECT 1 FROM pg_stat_activity WHERE datname = ${database} AND wait_event_type = 'Lock'`.pipe(
      Effect.repeat({ until: ({ length }) => length === count })
    )
  )
