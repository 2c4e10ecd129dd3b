/** Puts a log back into a database that has none: the events as they were stored, hashes, times and causes included. */
import { PgClient } from "@effect/sql-pg/PgClient"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { Effect, Result, Schema, Stream } from "effect"
import { isSqlError } from "effect/sql/SqlError"
import type { Cause, EventLogError } from "./EventLog.ts"
import { appendLockKey, channel } from "./internal/eventLogSchema.ts"
import { failure } from "./internal/failure.ts"

/** An event as it was stored, whatever this code makes of it. */
export interface PastEvent extends Cause {
  readonly stream: string
  readonly version: number
  readonly schemaVersion: number
  readonly at: number
  readonly event: { readonly _tag: string }
  readonly hash: string
}

/** A log that has events is not put together with another one: which came first, nobody could say. */
export class LogNotEmpty extends Schema.TaggedError<LogNotEmpty>()("LogNotEmpty", { head: Schema.Natural }) {
  override get message(): string {
    return `this log has events already, up to position ${this.head}: it takes one that has none`
  }
}

/**
 * Makes these the events of the log, in this order, and gives their number. All or none of them: whatever fails or is
 * killed on the way leaves the log empty. Each page of the stream is one statement.
 */
export const restore = <E>(
  events: Stream.Stream<PastEvent, E>
): Effect.Effect<number, E | LogNotEmpty | EventLogError, PgClient> =>
  Effect.gen(function*() {
    const sql = yield* PgClient
    let head = 0
    yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`SELECT pg_advisory_xact_lock(${appendLockKey})`
      const [row] = yield* sql<{ readonly head: bigint | null }>`SELECT max(position) AS head FROM events`
      if (typeof row?.head === "bigint") return yield* new LogNotEmpty({ head: Number(row.head) })
      yield* Stream.runForEachArray(events, (page) => {
        const first = head + 1
        head += page.length
        return sql.unsafe(insert, parameters(first, page))
      })
      if (head > 0) yield* sql`SELECT pg_notify(${channel}, ${String(head)})`
    }))
    return head
  }).pipe(Effect.catchIf(isSqlError, (error) => Effect.fail(failure("import")(error))))

const insert = `
INSERT INTO events (position, at, version, schema_version, stream, type, command_id, correlation_id, causation_id, hash,
  data)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

const parameters = (first: number, page: ReadonlyArray<PastEvent>): ReadonlyArray<unknown> => [
  array(page.map((_, i) => BigInt(first + i)), PgTypes.OID.int8),
  array(page.map(({ at }) => BigInt(at)), PgTypes.OID.int8),
  array(page.map(({ version }) => version), PgTypes.OID.int4),
  array(page.map(({ schemaVersion }) => schemaVersion), PgTypes.OID.int4),
  texts(page.map(({ stream }) => stream)),
  texts(page.map(({ event }) => event._tag)),
  texts(page.map(({ commandId }) => commandId ?? null)),
  texts(page.map(({ correlationId }) => correlationId ?? null)),
  texts(page.map(({ causationId }) => causationId ?? null)),
  array(page.map(({ hash }) => Buffer.from(hash, "hex")), PgTypes.OID.bytea),
  texts(page.map(({ event }) => JSON.stringify(event)))
]

const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))
const texts = (values: ReadonlyArray<string | null>) => array(values, PgTypes.OID.text)
