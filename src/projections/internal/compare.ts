/** Whether two generations hold the same rows: a digest of each table in any order, and the first row that differs. */
import { Deferred, Effect, Fiber, type Scope } from "effect"
import { BeginTransaction, type SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Difference, RebuildReport, TableDigest } from "../Rebuild.ts"
import { type Generation, lock, stored, tablesOf } from "./generations.ts"
import { prefixOf } from "./readModelSchema.ts"

export type Comparison = Pick<RebuildReport, "position" | "live" | "tables" | "differences">

/** How long the live tables may be kept from moving on by a process that hangs. */
const frozenMillisMax = 10_000

/** Keeps the live tables where they are until the answer is run, or the scope closes. Gives their position too. */
const freeze = (sql: SqlClient) =>
  Effect.gen(function*(): Effect.fn.Return<[number, Effect.Effect<void, SqlError>], SqlError, Scope.Scope> {
    const position = yield* Deferred.make<number, SqlError>()
    const thawing = yield* Deferred.make<void>()
    const holder = yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`SELECT set_config('idle_in_transaction_session_timeout', ${String(frozenMillisMax)}, true)`
      const live = yield* lock(sql, "live")
      yield* Deferred.succeed(position, live?.position ?? 0)
      yield* Deferred.await(thawing)
    })).pipe(Effect.onError((cause) => Deferred.failCause(position, cause)), Effect.forkScoped)
    const thaw = Effect.andThen(Deferred.succeed(thawing, undefined), Fiber.join(holder))
    return [yield* Deferred.await(position), thaw]
  })

/**
 * Compares the live tables with those of the same version that were made, at one position: `catchUp` has to bring the
 * latter exactly there. The live tables wait for that, and not for the comparison, which sees both as of that moment.
 */
export const compareSame = <E>(
  sql: SqlClient,
  catchUp: (position: number) => Effect.Effect<unknown, E>
): Effect.Effect<Comparison, E | SqlError> =>
  Effect.scoped(Effect.gen(function*() {
    const [position, thaw] = yield* freeze(sql)
    yield* catchUp(position)
    return yield* comparison(sql, thaw)
  }))

/** Digests of whatever is live and of what was made. Rows are compared if both are of one version. */
export const comparison = (sql: SqlClient, begun: Effect.Effect<void, SqlError> = Effect.void) =>
  sql.withTransaction(Effect.gen(function*() {
    // The first look fixes what all of this transaction sees.
    const live = yield* stored(sql, "live")
    const made = yield* stored(sql, "rebuild")
    yield* begun
    if (made === undefined) return yield* Effect.die("Nothing was made that could be compared")
    const ofLive = live === undefined ? undefined : yield* digests(sql, live)
    const tables = [...yield* digests(sql, made)].map(([table, digest]) => ({
      table,
      made: digest,
      live: ofLive?.get(table)
    }))
    const same = live?.version === made.version
    if (same && live.position !== made.position) {
      return yield* Effect.die("The live tables moved on before the comparison")
    }
    const differing = same ? tables.filter((table) => table.live?.digest !== table.made.digest) : []
    const differences = yield* Effect.forEach(differing, ({ table }) => difference(sql, table, live!, made))
    return { position: made.position, live, tables, differences }
  })).pipe(
    Effect.provideService(BeginTransaction, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
  )

// A sum has no order, and unlike an exclusive or it does not lose what is there twice.
const digests = Effect.fnUntraced(function*(sql: SqlClient, generation: Generation) {
  const names = yield* tablesOf(sql, generation)
  return new Map(
    yield* Effect.forEach(names, (name) =>
      Effect.map(
        sql.unsafe<{ readonly rows: number; readonly sum: string }>(`
          SELECT count(*)::float8 AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS sum
          FROM ${name} t`),
        ([row]): [string, TableDigest] => [
          name.slice(prefixOf(generation.generation).length),
          { rows: row!.rows, digest: BigInt.asUintN(64, BigInt(row!.sum)).toString(16).padStart(16, "0") }
        ]
      ))
  )
})

const difference = (sql: SqlClient, table: string, live: Generation, made: Generation) =>
  Effect.map(
    sql.unsafe<Difference["first"] & { readonly rows: number }>(`
      SELECT coalesce(l.id, m.id) AS id, to_jsonb(l) AS live, to_jsonb(m) AS made, (count(*) OVER ())::float8 AS rows
      FROM ${prefixOf(live.generation)}${table} l FULL JOIN ${prefixOf(made.generation)}${table} m ON l.id = m.id
      WHERE l::text IS DISTINCT FROM m::text ORDER BY 1 LIMIT 1`),
    ([row]): Difference => ({ table, rows: row!.rows, first: { id: row!.id, live: row!.live, made: row!.made } })
  )
