/**
 * Who uses a server. Each user has a session with a shared advisory lock, so PostgreSQL counts them, and a process that
 * is killed counts no more as soon as its connection is gone. Whoever gets the exclusive lock is alone, and nobody can
 * come before that session ends.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect, Result } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { type Cluster, superuser } from "./cluster.ts"
import type { Guard } from "./guard.ts"
import * as Server from "./server.ts"

export const connect = (host: string) =>
  Effect.flatMap(
    PgConnection.make({
      host,
      port: Server.port,
      username: superuser,
      database: "postgres",
      applicationName: "makima presence",
      connectTimeout: "2 seconds"
    }),
    (connection) => connection.pin
  )

/** No socket, or one that a killed server left behind. */
export const isAbsence = (error: SqlError): boolean => {
  const { cause } = error.reason
  return cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ECONNREFUSED")
}

/** Any number that nobody else locks in this database; it reads "here". */
const lockKey = 0x68657265

const call = (session: PgConnection.PgConnection, expression: string) =>
  Effect.map(session.queryValues(`SELECT ${expression}`), (rows) => rows[0]?.[0])

const lock = (session: PgConnection.PgConnection, expression: string) =>
  Effect.map(call(session, expression), (granted) => granted === true)

/**
 * Counts us among the users, or says that somebody stops the server at this moment. The lock with our own key comes
 * first, so that whoever waits for that one to be gone finds both gone.
 */
export const enter = (session: PgConnection.PgConnection, { key }: Guard) =>
  Effect.flatMap(
    lock(session, `pg_try_advisory_lock_shared(${lockKey}, ${key})`),
    (granted) => granted ? lock(session, `pg_try_advisory_lock_shared(${lockKey})`) : Effect.succeed(false)
  )

/** Gives our lock back, and stops the server if nobody else has one. */
export const leave = (cluster: Cluster, session: PgConnection.PgConnection, guard: Guard) =>
  Effect.andThen(lock(session, `pg_advisory_unlock_shared(${lockKey})`), stopIfUnused(cluster, session)).pipe(
    Effect.timeout(stopMillisMax),
    Effect.andThen(Effect.sync(() => {
      guard.isNeeded = false
    })),
    // Then the guard does it. A scope that closes has nobody to tell, and the server's log says what there is to say.
    Effect.ignore
  )

const stopMillisMax = 60_000

const stopIfUnused = (cluster: Cluster, session: PgConnection.PgConnection) =>
  Effect.flatMap(
    lock(session, `pg_try_advisory_lock(${lockKey})`),
    (alone) => alone ? Server.stop(cluster) : Effect.void
  )

/** Waits until the session of the user with this key is gone: it ends a moment after its process. */
const awaitGone = (session: PgConnection.PgConnection, key: number) =>
  call(session, `pg_advisory_lock(${lockKey}, ${key})`)

/**
 * Stops the server unless somebody uses it, as soon as it can be asked; ends also when there is none and none can come.
 * With a key it counts the user who has that as gone.
 */
export const stopUnlessUsed = Effect.fnUntraced(
  function*(cluster: Cluster, host: string, canCome: () => boolean, key?: number) {
    while (true) {
      const asked = yield* Effect.result(Effect.scoped(Effect.gen(function*() {
        const session = yield* connect(host)
        if (key !== undefined) yield* awaitGone(session, key)
        yield* stopIfUnused(cluster, session)
      })))
      if (Result.isSuccess(asked) || (isAbsence(asked.failure) && !canCome())) return
      yield* Effect.sleep(askAgainMillis)
    }
  }
)

const askAgainMillis = 50
