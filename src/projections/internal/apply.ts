/**
 * How events get into the tables: a batch is one transaction that locks the position, lays the changes over the rows
 * and moves the position on.
 */
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { isReadable, type LoggedEvent } from "../../events/Unreadable.ts"
import { changes, merged } from "../Changes.ts"
import { jsonArrays, mergeStatements, tableNames } from "./rows.ts"

const name = "read models"

/** There is no going on: an event cannot be applied, or code of another version has taken the tables over. */
export class Unable extends Schema.TaggedError<Unable>()("Unable", { problem: Schema.String }) {}

/** Another process has begun to make the read models anew: what was read from the log is not what comes next. */
export class Rewound extends Schema.TaggedError<Rewound>()("Rewound", { position: Schema.Natural }) {
  override get message(): string {
    return `another process has set them back to position ${this.position}`
  }
}

/** Makes sure that the read models are of this version: those of another one are emptied. */
export const prepare = (sql: SqlClient, version: number) =>
  sql.withTransaction(Effect.gen(function*() {
    yield* sql`
      INSERT INTO projections (name, version, position) VALUES (${name}, ${version}::integer, 0)
      ON CONFLICT DO NOTHING`
    const stored = yield* lock(sql)
    if (stored.version === version) return
    yield* Effect.logInfo(`The read models are of version ${stored.version}, not ${version}: they are made anew`)
    yield* sql.unsafe(`TRUNCATE ${tableNames.join(", ")}`)
    yield* sql`UPDATE projections SET version = ${version}::integer, position = 0 WHERE name = ${name}`
  }))

interface Stored {
  readonly version: number
  readonly position: number
}

export const storedPosition = (sql: SqlClient) =>
  Effect.map(
    sql<Stored>`SELECT version, position::float8 AS position FROM projections WHERE name = ${name}`,
    (rows) => rows[0]!.position
  )

/**
 * Locks the position and prepares the transaction: what it writes can be made again from the log, so it need not wait
 * for the disk; and rows are found by id, whatever the planner thinks of a table that has just been filled.
 */
const lock = (sql: SqlClient) =>
  Effect.map(
    sql<Stored>`
      SELECT version, position::float8 AS position,
        set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true),
        set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
      FROM projections WHERE name = ${name} FOR UPDATE`,
    (rows) => rows[0]!
  )

/** Applies events that come after `cursor`, telling `reached` where the read models are then. */
export const makeApply = (sql: SqlClient, version: number, reached: (position: number) => Effect.Effect<void>) => {
  const together = (events: ReadonlyArray<LoggedEvent>, cursor: number) =>
    sql.withTransaction(Effect.gen(function*() {
      const stored = yield* lock(sql)
      if (stored.version !== version) {
        const problem = `they are of version ${stored.version} now, and this process makes version ${version}`
        return yield* new Unable({ problem })
      }
      if (stored.position < cursor) return yield* new Rewound({ position: stored.position })
      // Another process may have applied some of it, or all.
      const fresh = events.filter((event) => event.position > stored.position)
      const last = fresh.at(-1)
      if (last === undefined) return stored.position
      for (const [table, rows] of merged(fresh.filter(isReadable).flatMap(changes))) {
        for (const json of jsonArrays(rows)) yield* sql.unsafe(mergeStatements[table], [json])
      }
      yield* sql`UPDATE projections SET position = ${last.position}::bigint WHERE name = ${name}`
      return last.position
    })).pipe(Effect.flatMap(reached))

  /** One after another, to find out which event it is. */
  const separately = Effect.fnUntraced(function*(events: ReadonlyArray<LoggedEvent>, cursor: number) {
    let before = cursor
    for (const recorded of events) {
      yield* together([recorded], before).pipe(
        Effect.catchIf(isAboutData, (error) => Effect.fail(new Unable({ problem: inapplicable(recorded, error) })))
      )
      before = recorded.position
    }
  })

  return (events: ReadonlyArray<LoggedEvent>, cursor: number) =>
    together(events, cursor).pipe(Effect.catchIf(isAboutData, () => separately(events, cursor)))
}

const inapplicable = ({ event, position, stream, version }: LoggedEvent, error: SqlError): string =>
  `${event._tag} at position ${position} (${stream}@${version}) cannot be applied: ${messageOf(error)}`

/** What PostgreSQL itself said, where it did. */
export const messageOf = ({ message, reason }: SqlError): string =>
  reason.cause instanceof Error ? reason.cause.message : message

/** Whether PostgreSQL objects to the values themselves, so that trying again is of no use. */
const isAboutData = (error: SqlError | Unable | Rewound): error is SqlError => {
  if (error._tag !== "SqlError") return false
  const { reason } = error
  switch (reason._tag) {
    case "ConstraintError":
    case "UniqueViolation":
      return true
    case "UnknownError":
      // Data exceptions, and limits of the program.
      return reason.cause instanceof Error && "code" in reason.cause && /^(22|54)/.test(String(reason.cause.code))
    default:
      return false
  }
}
