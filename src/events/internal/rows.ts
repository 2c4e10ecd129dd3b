/** From a row of the table `events` to the event that was stored. */
import { Result, type Schema } from "effect"
import type { Hash } from "../Chain.ts"
import type { StoredEvent } from "../EventLog.ts"
import type { LoggedEvent } from "../Unreadable.ts"
import * as Vocabulary from "../Vocabulary.ts"

/** As the driver gives it: bigint for the numbers of 64 bits. */
export interface EventRow {
  readonly position: bigint
  readonly at: bigint
  readonly version: number
  readonly schema_version: number
  readonly stream: string
  readonly type: string
  readonly command_id: string | null
  readonly correlation_id: string | null
  readonly causation_id: string | null
  readonly hash: Uint8Array
  readonly data: string
}

/** What each row has, in today's shape. */
export const decodeRows = (rows: ReadonlyArray<EventRow>): ReadonlyArray<LoggedEvent> => rows.map(decodeRow)

export const hex = (hash: Uint8Array): Hash =>
  Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("hex")

const decodeRow = (row: EventRow): LoggedEvent => {
  const place = {
    position: Number(row.position),
    stream: row.stream,
    version: row.version,
    schemaVersion: row.schema_version,
    at: Number(row.at),
    hash: hex(row.hash),
    ...(row.command_id !== null && { commandId: row.command_id }),
    ...(row.correlation_id !== null && { correlationId: row.correlation_id }),
    ...(row.causation_id !== null && { causationId: row.causation_id })
  }
  const { data, schema_version: schemaVersion, type } = row
  const stored = parse(data)
  const event = Result.flatMap(stored, (json) => Vocabulary.read(type, schemaVersion, json))
  return Result.match(event, {
    onFailure: (reason): LoggedEvent => ({ ...place, event: { _tag: "Unreadable", type, data, reason } }),
    onSuccess: (event) => ({ ...place, event, ...otherForm(event, schemaVersion, stored) })
  })
}

const parse = (data: string): Result.Result<Schema.Json, string> =>
  Result.try({
    try: (): Schema.Json => JSON.parse(data),
    catch: (cause) => `it is not JSON: ${cause instanceof Error ? cause.message : cause}`
  })

/** Newer code may have added optional fields, which the hash covers and this code does not know. */
const otherForm = (event: StoredEvent, schemaVersion: number, stored: Result.Result<Schema.Json, string>) => {
  if (Result.isFailure(stored)) return {}
  const isSame = schemaVersion === Vocabulary.versionOf(event) &&
    Object.keys(stored.success as object).length === Object.keys(event).length
  return isSame ? {} : { stored: stored.success }
}
