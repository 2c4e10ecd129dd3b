/**
 * Which generation of tables is live, and which one is being made. Rows and the position they stand at are written in
 * one transaction, which begins by locking the generation's row here.
 */
import { Effect, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { indexStatements, prefixOf, tableStatements } from "./readModelSchema.ts"
import { tableNames } from "./rows.ts"

/** What readers see, and what is made beside it. */
export type Place = "live" | "rebuild"

export interface Generation {
  readonly generation: number
  readonly version: number
  readonly position: number
  /** How many streams are in quarantine. */
  readonly quarantined: number
}

const columns = "generation, version, position::float8 AS position, quarantined"

export const stored = (sql: SqlClient, place: Place): Effect.Effect<Generation | undefined, SqlError> =>
  Effect.map(
    sql<Generation>`SELECT ${sql.literal(columns)} FROM projections WHERE name = ${place}`,
    (rows) => rows[0]
  )

/**
 * Locks a generation and prepares the transaction. What nobody reads yet need not wait for the disk; but a position that
 * readers were told must hold after a crash of the server. Rows are found by id, whatever the planner thinks of a table
 * that has just been filled.
 */
export const lock = (sql: SqlClient, place: Place): Effect.Effect<Generation | undefined, SqlError> =>
  Effect.map(
    sql<Generation>`
      SELECT ${sql.literal(columns)},
        set_config('synchronous_commit', ${place === "rebuild" ? "off" : "on"}, true),
        set_config('enable_seqscan', 'off', true),
        set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
      FROM projections WHERE name = ${place} FOR UPDATE`,
    (rows) => rows[0]
  )

export const moveTo = (sql: SqlClient, place: Place, position: number, quarantined: number) =>
  sql`
    UPDATE projections SET position = ${position}::bigint, quarantined = ${quarantined}::integer WHERE name = ${place}`

/** Any number that nobody else locks in this database; it reads "read". */
const rebuildLockKey = 0x72656164

/** Tries to become the one who makes a generation. Given back with the scope, and by a process that is killed. */
export const rebuildLock = (sql: SqlClient): Effect.Effect<Effect.Effect<boolean, SqlError>, SqlError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      sql.reserve,
      // A connection that is gone has taken the lock with it.
      (connection) => Effect.ignore(connection.executeValues("SELECT pg_advisory_unlock_all()", []))
    ),
    (connection) =>
      Effect.map(
        connection.executeValues(`SELECT pg_try_advisory_lock(${rebuildLockKey})`, []),
        ([row]) => row?.[0] === true
      )
  )

/** Makes empty tables. */
export const create = (sql: SqlClient, version: number): Effect.Effect<Generation, SqlError> =>
  sql.withTransaction(Effect.gen(function*() {
    const [row] = yield* sql<Generation>`
      INSERT INTO projections (name, generation, version, position, quarantined)
      VALUES ('rebuild', nextval('projections_generations'), ${version}::integer, 0, 0)
      RETURNING ${sql.literal(columns)}`
    for (const statement of tableStatements(prefixOf(row!.generation))) yield* sql.unsafe(statement)
    return row!
  }))

/** What readers need and writers of many rows do not. */
export const complete = Effect.fnUntraced(function*(sql: SqlClient, { generation }: Generation) {
  const prefix = prefixOf(generation)
  for (const statement of indexStatements(prefix)) yield* sql.unsafe(statement)
  yield* sql.unsafe(`ANALYZE ${tableNames.map((table) => prefix + table).join(", ")}`)
})

/** The tables of a generation, which may be one of another version. They are locked in this order, readers' too. */
export const tablesOf = (sql: SqlClient, { generation }: Generation): Effect.Effect<ReadonlyArray<string>, SqlError> =>
  Effect.map(
    sql<{ readonly name: string }>`
      SELECT relname::text AS name FROM pg_class
      WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND starts_with(relname::text, ${prefixOf(generation)})
      ORDER BY relname`,
    (rows) => rows.map(({ name }) => name)
  )

const drop = Effect.fnUntraced(function*(sql: SqlClient, generation: Generation) {
  const names = yield* tablesOf(sql, generation)
  if (names.length > 0) yield* sql.unsafe(`DROP TABLE ${names.join(", ")}`)
})

/** Drops what is being made, if it is this generation, or whichever it is. */
export const discard = (sql: SqlClient, generation?: number): Effect.Effect<void, SqlError> =>
  sql.withTransaction(Effect.gen(function*() {
    const leftover = yield* lock(sql, "rebuild")
    if (leftover === undefined || (generation !== undefined && leftover.generation !== generation)) return
    yield* drop(sql, leftover)
    yield* sql`DELETE FROM projections WHERE name = 'rebuild'`
  }))

/** Drops what a process that is gone was making. */
export const discardLeftover = (sql: SqlClient): Effect.Effect<void, SqlError> =>
  Effect.scoped(Effect.gen(function*() {
    if ((yield* stored(sql, "rebuild")) === undefined) return
    const tryLock = yield* rebuildLock(sql)
    if (yield* tryLock) yield* discard(sql)
  }))

/**
 * Has readers go from the live tables to those that were made. To be called in a transaction that has locked both.
 *
 * The old tables go in the same transaction. So a reader that still asks for them either comes first, and is waited
 * for, or finds nothing and looks up which tables are live now: none ever sees tables that are no longer kept up.
 */
export const swap = Effect.fnUntraced(
  function*(sql: SqlClient, live: Generation | undefined, made: Generation, patienceMillis: number) {
    if (live !== undefined) {
      // Whoever waits for a reader holds up all that come after: better to let them pass and come again.
      yield* sql`SELECT set_config('lock_timeout', ${String(patienceMillis)}, true)`
      yield* sql.unsafe(`LOCK TABLE ${(yield* tablesOf(sql, live)).join(", ")} IN ACCESS EXCLUSIVE MODE`)
      yield* drop(sql, live)
    }
    yield* sql`DELETE FROM projections WHERE name = 'rebuild'`
    const { generation, position, quarantined, version } = made
    // An update, for whoever waits for the lock of this row shall find it.
    yield* sql`
      INSERT INTO projections (name, generation, version, position, quarantined)
      VALUES ('live', ${generation}::integer, ${version}::integer, ${position}::bigint, ${quarantined}::integer)
      ON CONFLICT (name) DO UPDATE
      SET generation = excluded.generation, version = excluded.version, position = excluded.position,
        quarantined = excluded.quarantined`
  }
)
