/**
 * Leases in PostgreSQL, for the processes that share a database.
 *
 * A process has a connection of its own, on which it holds a lock for its name and renews its row: the server notices at
 * once when the process is killed, because its connection ends, and after a while when it stands still, because its row runs
 * out. `internal/leasesSchema.ts` has what is done in the database, `internal/holder.ts` what is done here.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { Effect, Exit, Fiber, Layer, Result, Schedule, Scope } from "effect"
import { OwnerId } from "../events/Ids.ts"
import { reasonOf } from "../events/internal/failure.ts"
import { patiently } from "../postgres/Patience.ts"
import { hold, type Table } from "./internal/holder.ts"
import { streamPrefix } from "./internal/leasesSchema.ts"
import { Leases, LeaseTimes, LeaseUnknown, type Location, NodeNameTaken } from "./Leases.ts"

/** A name is free a moment after its process was killed: that is how long the server takes to notice. */
const joinMillisMax = 1_000

const untilNoticed = Schedule.max([Schedule.spaced("50 millis"), Schedule.during(joinMillisMax)])

/** How long a stop waits for the database, in milliseconds. */
const stopMillisMax = 2_000

/** Has the server notice in some ten seconds that a machine is gone and its connection with it. */
const keepAlive = { tcp_keepalives_idle: "5", tcp_keepalives_interval: "2", tcp_keepalives_count: "3" }

export const layer = ({ node }: { readonly node: string }) =>
  Layer.effect(
    Leases,
    Effect.gen(function*() {
      const sql = yield* PgClient
      const times = yield* LeaseTimes
      const ttl = `${times.ttlMillis} ms`
      const killed = `${times.killedMillis} ms`
      const session = yield* makeSession(sql, times.killedMillis)

      const join = session.ask<{ readonly epoch: number | null }>(
        "SELECT node_join($1, $2::interval) AS epoch",
        [node, ttl]
      ).pipe(Effect.map(([row]) => row!.epoch))
      const epoch = yield* join.pipe(
        Effect.repeat({ until: (found) => found !== null, schedule: untilNoticed }),
        Effect.flatMap((found) => found === null ? Effect.fail(new NodeNameTaken({ node })) : Effect.succeed(found))
      )
      // Behind the actors in the order of things, so that nothing of them is under way any more.
      yield* Effect.addFinalizer(() =>
        Effect.ignore(session.ask("SELECT node_stop($1, $2), pg_advisory_unlock_all()", [node, epoch])).pipe(
          Effect.timeoutOption(stopMillisMax)
        )
      )

      let renewal = 0
      const renew: Table["renew"] = Effect.map(
        // A connection that had to be made anew has yet to get the lock, which the server may still hold for the old one.
        // Whoever has lost everything leaves the name to others.
        Effect.suspend(() =>
          session.ask<{ readonly renewal: number | null }>(
            session.isFirst()
              ? "SELECT node_renew($1, $2, $3::interval) AS renewal"
              : `SELECT renewal, CASE WHEN renewal IS NOT NULL THEN node_is_connected($1) OR node_lock($1) END
                FROM node_renew($1, $2, $3::interval) AS renewal`,
            [node, epoch, ttl]
          )
        ),
        ([row]) => {
          renewal = row!.renewal ?? renewal
          return row!.renewal !== null
        }
      )
      const takeOver: Table["takeOver"] = (judging) =>
        Effect.map(
          session.ask<{ readonly owner: string }>("SELECT node_take_over($1, $2, $3, $4, $5::interval) AS owner", [
            node,
            epoch,
            renewal,
            judging,
            killed
          ]),
          (rows) => rows.map(({ owner }) => OwnerId.make(owner))
        )
      const owners: Table["owners"] = Effect.map(
        session.ask<{ readonly owner: string }>(
          "SELECT l.owner_id AS owner FROM leases l JOIN nodes n ON n.name = l.node WHERE n.name = $1 AND n.epoch = $2",
          [node, epoch]
        ),
        (rows) => rows.map(({ owner }) => OwnerId.make(owner))
      )
      const advertise: Table["advertise"] = (url) =>
        Effect.asVoid(
          Effect.mapError(
            patiently(sql`UPDATE nodes SET url = ${url} WHERE name = ${node} AND epoch = ${epoch}::integer`),
            unreachable
          )
        )
      const take: Table["take"] = (owners) =>
        sql.unsafe<{ readonly owner: string; readonly holder: string; readonly holder_url: string | null }>(
          "SELECT * FROM node_take($1, $2, $3)",
          [node, epoch, Result.getOrThrow(PgTypes.array(owners, PgTypes.OID.text))]
        ).pipe(
          patiently,
          Effect.mapError(unreachable),
          Effect.map((rows) =>
            new Map(rows.map(({ holder, holder_url, owner }): [OwnerId, Location] => [
              OwnerId.make(owner),
              holder === node
                ? { _tag: "Here" }
                : { _tag: "Elsewhere", node: holder, url: holder_url ?? undefined }
            ]))
          )
        )
      return yield* hold(
        { node, fence: { stream: streamPrefix + node, epoch } },
        { renew, takeOver, owners, advertise, take },
        times
      )
    })
  )

const unreachable = (cause: unknown): LeaseUnknown => {
  const reason = reasonOf(cause)
  return new LeaseUnknown({ because: reason instanceof Error ? reason.message : String(reason) })
}

/** A connection that is made anew when it breaks. Nothing waits for it for longer than it is worth. */
const makeSession = Effect.fnUntraced(function*(sql: PgClient, waitMillisMax: number) {
  let current: { readonly connection: PgConnection.PgConnection; readonly scope: Scope.Closeable } | undefined
  let connections = 0

  const connect = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const connection = yield* PgConnection.make({
      ...sql.config,
      applicationName: "makima lease",
      connectTimeout: waitMillisMax,
      startupParameters: { ...sql.config.startupParameters, ...keepAlive }
    }).pipe(Scope.provide(scope), Effect.onError(() => Scope.close(scope, Exit.void)))
    connections++
    current = { connection, scope }
    return connection
  })
  const drop = Effect.suspend(() => {
    const dropped = current
    current = undefined
    return dropped === undefined ? Effect.void : Scope.close(dropped.scope, Exit.void)
  })
  yield* Effect.addFinalizer(() => Effect.ignore(within(stopMillisMax, drop)))

  return {
    /** Whether there was no other connection before this one. */
    isFirst: () => connections === 1 && current !== undefined,
    ask: <Row>(statement: string, parameters: ReadonlyArray<unknown>) =>
      within(
        waitMillisMax,
        Effect.suspend(() => current === undefined ? connect : Effect.succeed(current.connection)).pipe(
          Effect.flatMap((connection) => connection.query(statement, parameters)),
          Effect.map(({ rows }) => rows as unknown as ReadonlyArray<Row>)
        )
      ).pipe(
        Effect.tapError(() => Effect.forkDetach(drop)),
        Effect.mapError(unreachable)
      )
  }
})

/** Waits for so long and no longer, also not until it is interrupted: a dead connection may keep that from happening. */
const within = Effect.fnUntraced(function*<A, E>(millis: number, effect: Effect.Effect<A, E>) {
  const fiber = yield* Effect.forkDetach(effect)
  return yield* Fiber.join(fiber).pipe(
    Effect.timeout(millis),
    Effect.onError(() => Effect.forkDetach(Fiber.interrupt(fiber)))
  )
})
