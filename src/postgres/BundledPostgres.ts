/**
 * A real PostgreSQL that comes with this package and needs no set-up: started on first use, joined by whoever else uses
 * the same data directory, stopped by the last of them. It is reached through a Unix socket only.
 *
 * Its users are counted by PostgreSQL itself: each holds a shared advisory lock for as long as it lives. Whoever leaves
 * gives its lock back and asks for the exclusive one, and stops the server only if it gets that: then nobody else is
 * there, and nobody can come before it has stopped. A process that is killed loses its lock with its connection, and its
 * guard asks in its place.
 */
import { Clock, Context, Deferred, Effect, Layer, Queue, Result, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { join, resolve } from "node:path"
import { attempt, BundledPostgresError, useAnother } from "./BundledPostgresError.ts"
import { type Cluster, findOrCreate, superuser } from "./internal/cluster.ts"
import { type Guard, keepGuard } from "./internal/guard.ts"
import { connect, enter, isAbsence, leave, stopUnlessUsed } from "./internal/presence.ts"
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
        const directory = join(resolve(dataDirectory), "postgres")
        const joined = yield* Deferred.make<BundledPostgres["Service"], BundledPostgresError>()
        const guard = yield* keepGuard(directory)
        yield* Effect.forkScoped(keep(directory, guard, joined))
        return yield* Deferred.await(joined)
      })
    )
}

/** Joins, and joins again when the connection ends: a server that was killed comes back while anybody needs it. */
const keep = Effect.fnUntraced(function*(
  directory: string,
  guard: Guard,
  joined: Deferred.Deferred<BundledPostgres["Service"], BundledPostgresError>
) {
  while (true) {
    const result = yield* Effect.result(Effect.scoped(belong(directory, guard, joined)))
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
  guard: Guard,
  joined: Deferred.Deferred<BundledPostgres["Service"], BundledPostgresError>
) {
  const cluster = yield* findOrCreate(directory, guard)
  const host = yield* attempt(directory, "cannot be read", () => Server.socketDirectory(cluster))
  const settings = { host, port: Server.port, username: superuser, database: "postgres" }
  const giveUpAt = (yield* Clock.currentTimeMillis) + (yield* startMillisMax)

  // Ours until somebody is joined: from then on the locks decide who stops it.
  let child: Server.Child | undefined
  yield* Effect.addFinalizer(() => child === undefined ? Effect.void : withdraw(cluster, host, guard, child))
  const onJoined = Effect.suspend(() => {
    child = undefined
    return Deferred.succeed(joined, settings)
  })

  while (true) {
    const outcome = yield* stay(cluster, host, guard, onJoined)
    if (outcome === "left behind") return
    if (child !== undefined && !Server.isRunning(child)) {
      if (Server.hasFailed(child, cluster.data)) return yield* failedToStart(cluster, directory, child)
      child = undefined
    }
    if (outcome === "nobody there" && child === undefined) {
      guard.isNeeded = true
      child = yield* attempt(directory, "cannot be started", () => Server.start(cluster, host, guard))
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

const stay = (cluster: Cluster, host: string, guard: Guard, onJoined: Effect.Effect<unknown>) => {
  let hasJoined = false
  return Effect.gen(function*(): Effect.fn.Return<Outcome, SqlError, Scope.Scope> {
    const session = yield* connect(host)
    // Nobody notifies this channel. Listening is how a session learns that its server is gone.
    const ending = yield* session.listen("makima_presence")
    guard.isNeeded = true
    const granted = yield* Effect.acquireRelease(
      enter(session, guard),
      (granted) => granted ? leave(cluster, session, guard) : Effect.void
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

/**
 * Leaves while our own server is still starting, or has failed to: others may be waiting for it already. One that takes
 * long to start, after a crash, is left to the guard.
 */
const withdraw = (cluster: Cluster, host: string, guard: Guard, child: Server.Child) =>
  stopUnlessUsed(cluster, host, () => Server.isRunning(child)).pipe(
    Effect.andThen(Effect.sync(() => {
      guard.isNeeded = false
      Server.removeIfEmpty(host)
    })),
    Effect.timeoutOption(withdrawMillisMax)
  )

const withdrawMillisMax = 2000
