/**
 * A real PostgreSQL that comes with this package and needs no set-up: started on first use, joined by whoever else uses
 * the same data directory, stopped by the last of them. It is reached through a Unix socket only.
 *
 * Its users are counted by PostgreSQL itself: each holds a shared advisory lock for as long as it lives. Whoever leaves
 * gives its lock back and asks for the exclusive one, and stops the server only if it gets that: then nobody else is
 * there, and nobody can come before it has stopped. A process that is killed loses its lock with its connection.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Clock, Context, Deferred, Effect, Layer, Queue, Result, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { join, resolve } from "node:path"
import { attempt, BundledPostgresError, useAnother } from "./BundledPostgresError.ts"
import { type Cluster, findOrCreate, superuser } from "./internal/cluster.ts"
import * as Server from "./internal/server.ts"

/** How long a start, or the end of somebody else's, may take. Recovery after a crash is part of a start. */
export const startMillisMax = Context.Reference<number>("makima-runtime/postgres/startMillisMax", {
  defaultValue: () => 30_000
})

/** How to connect. `host` is the directory of the socket; there is no password, because nobody else can enter it. */
export class BundledPostgres extends Context.Service<BundledPostgres, {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly database: string
}>()("makima-runtime/postgres/BundledPostgres") {
  /** The server whose data is in `<dataDirectory>/postgres`. It runs for as long as somebody's layer is open. */
  static readonly layer = (dataDirectory: string): Layer.Layer<BundledPostgres, BundledPostgresError> =>
    Layer.effect(
      BundledPostgres,
      Effect.gen(function*() {
        const joined = yield* Deferred.make<BundledPostgres["Service"], BundledPostgresError>()
        yield* Effect.forkScoped(keep(join(resolve(dataDirectory), "postgres"), joined))
        return yield* Deferred.await(joined)
      })
    )
}

/** Joins, and joins again when the connection ends: a server that was killed comes back while anybody needs it. */
const keep = Effect.fnUntraced(function*(
  directory: string,
  joined: Deferred.Deferred<BundledPostgres["Service"], BundledPostgresError>
) {
  while (true) {
    const result = yield* Effect.result(Effect.scoped(belong(directory, joined)))
    if (Result.isFailure(result)) {
      if (yield* Deferred.fail(joined, result.failure)) return
      yield* Effect.logError(result.failure.message)
      yield* Effect.sleep(rejoinMillis)
    } else {
      yield* Effect.logWarning(`The bundled PostgreSQL in ${directory} is gone; starting it again`)
    }
  }
})

const rejoinMillis = 1000

/** Starts or joins, and stays for as long as the connection lasts. */
const belong = Effect.fnUntraced(function*(
  directory: string,
  joined: Deferred.Deferred<BundledPostgres["Service"], BundledPostgresError>
) {
  const cluster = yield* findOrCreate(directory)
  const host = yield* attempt(directory, "cannot be read", () => Server.socketDirectory(cluster))
  const settings = { host, port: Server.port, username: superuser, database: "postgres" }
  const giveUpAt = (yield* Clock.currentTimeMillis) + (yield* startMillisMax)

  // Ours until somebody is joined: from then on the locks decide who stops it.
  let child: Server.Child | undefined
  yield* Effect.addFinalizer(() => child === undefined ? Effect.void : withdraw(cluster, host, child))
  const onJoined = Effect.suspend(() => {
    child = undefined
    return Deferred.succeed(joined, settings)
  })

  while (true) {
    const outcome = yield* stay(cluster, host, onJoined)
    if (outcome === "left behind") return
    if (child !== undefined && !Server.isRunning(child)) {
      if (Server.hasFailed(child, cluster.data)) return yield* failedToStart(cluster, directory, child)
      child = undefined
    }
    if (outcome === "nobody there" && child === undefined) {
      child = yield* attempt(directory, "cannot be started", () => Server.start(cluster, host))
    }
    if ((yield* Clock.currentTimeMillis) > giveUpAt) return yield* failedToStart(cluster, directory, child)
    yield* Server.pause
  }
})

const failedToStart = (cluster: Cluster, directory: string, child: Server.Child | undefined) =>
  attempt(directory, "cannot be read", () => Server.logTail(cluster.data, child?.logStart)).pipe(
    Effect.flatMap((log) =>
      Effect.fail(
        new BundledPostgresError({
          directory,
          problem: `does not start: ${child?.failure()?.message ?? (log === "" ? "it says nothing" : log)}`,
          advice: `Its log is ${Server.logFile(cluster.data)}. ${useAnother}`
        })
      )
    )
  )

/**
 * "nobody there" says that a server can be started; "not now" that one is starting or stopping; "left behind" that we
 * had joined, and the server went away.
 */
type Outcome = "nobody there" | "not now" | "left behind"

const stay = (cluster: Cluster, host: string, onJoined: Effect.Effect<unknown>) => {
  let hasJoined = false
  return Effect.gen(function*(): Effect.fn.Return<Outcome, SqlError, Scope.Scope> {
    const session = yield* connect(host)
    // Nobody notifies this channel. Listening is how a session learns that its server is gone.
    const ending = yield* session.listen("makima_presence")
    const granted = yield* Effect.acquireRelease(
      lock(session, "pg_try_advisory_lock_shared"),
      (granted) => granted ? leave(cluster, session) : Effect.void
    )
    if (!granted) return "not now"
    hasJoined = true
    yield* onJoined
    return yield* Effect.forever(Queue.take(ending))
  }).pipe(
    Effect.scoped,
    Effect.catch((error) =>
      Effect.succeed<Outcome>(hasJoined ? "left behind" : isAbsence(error) ? "nobody there" : "not now")
    )
  )
}

const connect = (host: string) =>
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
const isAbsence = (error: SqlError): boolean => {
  const { cause } = error.reason
  return cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ECONNREFUSED")
}

/** Any number that nobody else locks in this database; it reads "here". */
const lockKey = 0x68657265

const lock = (session: PgConnection.PgConnection, call: string) =>
  Effect.map(session.queryValues(`SELECT ${call}(${lockKey})`), (rows) => rows[0]?.[0] === true)

/** Gives our lock back, and stops the server if nobody else has one. */
const leave = (cluster: Cluster, session: PgConnection.PgConnection) =>
  Effect.andThen(lock(session, "pg_advisory_unlock_shared"), stopIfUnused(cluster, session)).pipe(
    Effect.timeout(stopMillisMax),
    // What is left to say is in the server's log; a scope that closes has nobody to tell.
    Effect.ignore
  )

const stopMillisMax = 60_000

const stopIfUnused = (cluster: Cluster, session: PgConnection.PgConnection) =>
  Effect.flatMap(lock(session, "pg_try_advisory_lock"), (alone) => alone ? Server.stop(cluster) : Effect.void)

/** Leaves while our own server is still starting, or has failed to: others may be waiting for it already. */
const withdraw = Effect.fnUntraced(
  function*(cluster: Cluster, host: string, child: Server.Child) {
    while (Server.isRunning(child)) {
      const asked = yield* Effect.result(
        Effect.scoped(Effect.flatMap(connect(host), (session) => stopIfUnused(cluster, session)))
      )
      if (Result.isSuccess(asked)) return
      yield* Server.pause
    }
  },
  (asking, _cluster, host, child) =>
    asking.pipe(
      Effect.timeoutOrElse({ duration: withdrawMillisMax, orElse: () => Server.abort(child) }),
      Effect.andThen(Effect.sync(() => Server.removeIfEmpty(host)))
    )
)

const withdrawMillisMax = 2000
