/**
 * How events get into the tables of a generation: a batch is one transaction that locks the generation, lays the
 * changes over the rows and moves the position on.
 */
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import type { RecordedEvent } from "../../events/EventLog.ts"
import { type LoggedEvent, separate } from "../../events/Unreadable.ts"
import { type Change, changes, merged, removals } from "../Changes.ts"
import { type Generation, lock, moveTo, type Place } from "./generations.ts"
import { quarantine, quarantineOf } from "./quarantine.ts"
import { jsonArrays, mergeStatementsOf, removeStatementsOf } from "./rows.ts"

/** There is no going on: an event cannot be applied, or code of another version has taken the place of this one. */
export class Unable extends Schema.TaggedError<Unable>()("Unable", { problem: Schema.String }) {}

/** Another process has begun to make the read models anew: what was read from the log is not what comes next. */
export class Rewound extends Schema.TaggedError<Rewound>()("Rewound", { position: Schema.Natural }) {
  override get message(): string {
    return `another process has set them back to position ${this.position}`
  }
}

/** `changes` does not know what to make of an event. */
class Unfoldable extends Schema.TaggedError<Unfoldable>()("Unfoldable", { cause: Schema.Defect() }) {
  override get message(): string {
    return this.cause instanceof Error ? this.cause.message : String(this.cause)
  }
}

const changesOf = (events: ReadonlyArray<RecordedEvent>) =>
  Effect.try({ try: (): ReadonlyArray<Change> => events.flatMap(changes), catch: (cause) => new Unfoldable({ cause }) })

/**
 * Lays the changes of events over rows, within a transaction of the caller. A stream with an event that cannot be read
 * stays as it was before that, and is in quarantine from then on. Gives how many streams are.
 */
export const lay = Effect.fnUntraced(
  function*(sql: SqlClient, place: Generation, logged: ReadonlyArray<LoggedEvent>) {
    const { entered, events } = separate(yield* quarantineOf(sql, place), logged)
    const statements = mergeStatementsOf(place.generation)
    for (const [table, rows] of merged(yield* changesOf(events))) {
      for (const json of jsonArrays(rows)) yield* sql.unsafe(statements[table], [json])
    }
    const removed = removals(events)
    if (removed.length > 0) {
      const json = JSON.stringify(removed)
      for (const statement of removeStatementsOf(place.generation)) yield* sql.unsafe(statement, [json])
    }
    yield* quarantine(sql, place, entered)
    return place.quarantined + entered.length
  }
)

/**
 * Applies events that come after `cursor` to the generation in that place, telling `reached` where it is then. `expected`
 * says whether the one that is found there may be written.
 */
export const makeApply = <E>(
  sql: SqlClient,
  place: Place,
  expected: (found: Generation | undefined) => Effect.Effect<Generation, E>,
  reached: (position: number) => Effect.Effect<void>
) => {
  const together = (events: ReadonlyArray<LoggedEvent>, cursor: number) =>
    sql.withTransaction(Effect.gen(function*() {
      const found = yield* Effect.flatMap(lock(sql, place), expected)
      if (found.position < cursor) return yield* new Rewound({ position: found.position })
      // Another process may have applied some of it, or all.
      const fresh = events.filter((event) => event.position > found.position)
      const last = fresh.at(-1)
      if (last === undefined) return found.position
      const quarantined = yield* lay(sql, found, fresh)
      yield* moveTo(sql, place, last.position, quarantined)
      return last.position
    })).pipe(Effect.flatMap(reached))

  /** One after another, to find out which event it is. */
  const separately = Effect.fnUntraced(function*(events: ReadonlyArray<LoggedEvent>, cursor: number) {
    let before = cursor
    for (const recorded of events) {
      yield* together([recorded], before).pipe(
        Effect.catchIf(isAboutEvents, (error) => Effect.fail(new Unable({ problem: inapplicable(recorded, error) })))
      )
      before = recorded.position
    }
  })

  return (events: ReadonlyArray<LoggedEvent>, cursor: number) =>
    together(events, cursor).pipe(Effect.catchIf(isAboutEvents, () => separately(events, cursor)))
}

const inapplicable = ({ event, position, stream, version }: LoggedEvent, error: SqlError | Unfoldable): string =>
  `${event._tag} at position ${position} (${stream}@${version}) cannot be applied: ${
    error._tag === "SqlError" ? messageOf(error) : error.message
  }`

/** What PostgreSQL itself said, where it did. */
export const messageOf = ({ message, reason }: SqlError): string =>
  reason.cause instanceof Error ? reason.cause.message : message

/** Whether it is the events themselves, so that trying again is of no use. */
const isAboutEvents = (error: unknown): error is SqlError | Unfoldable => {
  if (error instanceof Unfoldable) return true
  if (!isSqlError(error)) return false
  const { reason } = error
  switch (reason._tag) {
    case "ConstraintError":
    case "UniqueViolation":
      return true
    case "UnknownError":
      // Data exceptions, and limits of the program.
      return /^(22|54)/.test(stateOf(error) ?? "")
    default:
      return false
  }
}

/** PostgreSQL's code for what went wrong. */
export const stateOf = ({ reason: { cause } }: SqlError): string | undefined =>
  cause instanceof Error && "code" in cause ? String(cause.code) : undefined
