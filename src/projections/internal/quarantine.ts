/**
 * Streams that the read models show only up to the first event that this code cannot read. They are kept with the tables
 * and their position, so that who goes on from there leaves out the same streams. The other streams go on.
 */
import { Effect, Stream } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { EventLog } from "../../events/EventLog.ts"
import { isReadable, noQuarantine, type Quarantine, UnreadableEvent } from "../../events/Unreadable.ts"
import type { Generation } from "./generations.ts"
import { prefixOf } from "./readModelSchema.ts"

export const quarantineOf = (
  sql: SqlClient,
  { generation, quarantined }: Generation
): Effect.Effect<Quarantine, SqlError> =>
  quarantined === 0 ? Effect.succeed(noQuarantine) : Effect.map(
    sql<UnreadableEvent>`
      SELECT id AS stream, version::float8 AS version, position::float8 AS position, type,
        schema_version::float8 AS "schemaVersion", reason
      FROM ${sql.literal(`${prefixOf(generation)}quarantine`)} ORDER BY id`,
    (rows) => new Map(rows.map((row) => [row.stream, new UnreadableEvent(row)]))
  )

/** To be called in the transaction that moves the position over these events. */
export const quarantine = Effect.fnUntraced(
  function*(sql: SqlClient, { generation }: Generation, entered: ReadonlyArray<UnreadableEvent>) {
    for (const error of entered) {
      const { position, reason, schemaVersion, stream, type, version } = error
      yield* sql`
        INSERT INTO ${sql.literal(`${prefixOf(generation)}quarantine`)}
          (id, version, position, type, schema_version, reason)
        VALUES (${stream}, ${version}::bigint, ${position}::bigint, ${type}, ${schemaVersion}::bigint,
          ${reason.toWellFormed().replaceAll("\\0", "")})`
      yield* Effect.logWarning(`The read models show ${stream} as of version ${version - 1} only. ${error.message}`)
    }
  }
)

/** Whether this code can read an event that the code could not which wrote the tables. */
export const isOutgrown = Effect.fnUntraced(
  function*(sql: SqlClient, log: EventLog["Service"], place: Generation) {
    for (const { position } of (yield* quarantineOf(sql, place)).values()) {
      const [first] = yield* log.readAll({ after: position - 1 }).pipe(Stream.take(1), Stream.runCollect)
      if (first !== undefined && isReadable(first)) return true
    }
    return false
  }
)
