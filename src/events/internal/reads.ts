/** How the event log is read from PostgreSQL: page after page, so that a slow reader holds no connection. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Option, Stream } from "effect"
import { patiently } from "../../postgres/Patience.ts"
import * as Chain from "../Chain.ts"
import type { EventLog, ReadOptions } from "../EventLog.ts"
import type { EventLogError } from "../EventLogError.ts"
import { type LoggedEvent, untilUnreadable } from "../Unreadable.ts"
import { answerIn } from "./eventLogSchema.ts"
import { failure } from "./failure.ts"
import { decodeRows, type EventRow, hex } from "./rows.ts"

const pageRows = 1000

type Page = (after: number, before: number, limit: number) => Effect.Effect<ReadonlyArray<LoggedEvent>, EventLogError>

const rowsWhere = (sql: PgClient, method: string, where: string, values: ReadonlyArray<unknown>) =>
  patiently(sql.unsafe<EventRow>(`SELECT * FROM events WHERE ${where}`, values)).pipe(
    Effect.map(decodeRows),
    Effect.mapError(failure(method))
  )

/** The next events of all streams after a position. */
export const pageAfter = (sql: PgClient) => (after: number) =>
  rowsWhere(sql, "subscribe", `position > $1 ORDER BY position LIMIT ${pageRows}`, [BigInt(after)])

export const head = (sql: PgClient): Effect.Effect<number, EventLogError> =>
  patiently(sql.unsafe<{ readonly head: bigint }>("SELECT coalesce(max(position), 0) AS head FROM events")).pipe(
    Effect.map((rows) => Number(rows[0]?.head ?? 0)),
    Effect.mapError(failure("head"))
  )

export const makeReads = (
  sql: PgClient
): Pick<EventLog["Service"], "read" | "readAll" | "findAnswer" | "streamHead" | "truncate"> => ({
  read: (stream, options) => {
    const order = options?.direction === "backward" ? "DESC" : "ASC"
    const where = `stream = $1 AND version > $2 AND version < $3 ORDER BY version ${order} LIMIT $4`
    return untilUnreadable(pages(
      (after, before, limit) => rowsWhere(sql, "read", where, [stream, int4(after), int4(before), limit]),
      ({ version }) => version,
      options
    ))
  },
  readAll: (options) => {
    const order = options?.direction === "backward" ? "DESC" : "ASC"
    const where = `position > $1 AND position < $2 ORDER BY position ${order} LIMIT $3`
    return pages(
      (after, before, limit) => rowsWhere(sql, "readAll", where, [BigInt(after), BigInt(before), limit]),
      ({ position }) => position,
      options
    )
  },
  findAnswer: (stream, commandId) =>
    rowsWhere(sql, "findAnswer", `${answerIn} LIMIT 1`, [stream, commandId]).pipe(
      Effect.flatMap((found) => Stream.runHead(untilUnreadable(Stream.fromIterable(found))))
    ),
  truncate: (stream, before) =>
    sql.unsafe<{ readonly count: bigint }>(truncate, [stream, int4(before)]).pipe(
      Effect.map((rows) => Number(rows[0]?.count ?? 0)),
      Effect.mapError(failure("truncate"))
    ),
  streamHead: (stream) =>
    patiently(sql.unsafe<HeadRow>(streamHead, [stream])).pipe(
      Effect.map(([row]) => ({
        version: row?.version ?? 0,
        hash: row?.hash ? hex(row.hash) : Chain.start,
        epoch: row?.epoch ?? 0,
        owner: row?.owner ?? undefined
      })),
      Effect.mapError(failure("streamHead"))
    )
})

interface HeadRow {
  readonly version: number | null
  readonly hash: Uint8Array | null
  readonly epoch: number | null
  readonly owner: string | null
}

const streamHead = `
SELECT e.version, e.hash, o.epoch, o.owner
FROM (VALUES ($1::text)) AS s (stream)
LEFT JOIN LATERAL (
  SELECT version, hash FROM events WHERE stream = s.stream ORDER BY version DESC LIMIT 1
) AS e ON true
LEFT JOIN stream_owners o ON o.stream = s.stream`

const truncate = `
WITH gone AS (
  DELETE FROM events WHERE stream = $1 AND version < $2::integer
  AND EXISTS (SELECT FROM events e WHERE e.stream = $1 AND e.version = $2::integer)
  RETURNING 1
)
SELECT count(*) AS count FROM gone`

const int4 = (version: number): number => Math.max(-1, Math.min(2 ** 31 - 1, version))

/** Page after page until one is not full, or the limit is reached. */
const pages = (
  page: Page,
  place: (event: LoggedEvent) => number,
  { after = 0, before = Number.MAX_SAFE_INTEGER, direction, limit = Number.POSITIVE_INFINITY }: ReadOptions = {}
): Stream.Stream<LoggedEvent, EventLogError> =>
  Stream.paginate({ after, before, left: Math.max(0, limit) }, ({ after, before, left }) => {
    const rows = Math.min(left, pageRows)
    if (rows === 0) return Effect.succeed([[], Option.none()] as const)
    return Effect.map(page(after, before, rows), (events) => {
      const last = events.at(-1)
      if (last === undefined || events.length < pageRows) return [events, Option.none()] as const
      const rest = direction === "backward" ? { after, before: place(last) } : { after: place(last), before }
      return [events, Option.some({ ...rest, left: left - events.length })] as const
    })
  })
