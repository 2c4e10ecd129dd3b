/** From a row of the table `events` to the event that was stored. */
import { Result, Schema } from "effect"
import { type RecordedEvent, StoredEvent } from "../EventLog.ts"

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
  readonly data: string
}

const decodeEvent = Schema.decodeUnknownResult(StoredEvent)

/** Every event, or why the first bad one cannot be read. */
export const decodeRows = (rows: ReadonlyArray<EventRow>): Result.Result<ReadonlyArray<RecordedEvent>, Error> => {
  const events: Array<RecordedEvent> = []
  for (const row of rows) {
    const event = Result.flatMap(Result.try(() => JSON.parse(row.data)), decodeEvent)
    if (Result.isFailure(event)) return Result.fail(undecodable(row, event.failure))
    events.push({
      position: Number(row.position),
      stream: row.stream,
      version: row.version,
      schemaVersion: row.schema_version,
      at: Number(row.at),
      event: event.success,
      ...(row.command_id !== null && { commandId: row.command_id }),
      ...(row.correlation_id !== null && { correlationId: row.correlation_id }),
      ...(row.causation_id !== null && { causationId: row.causation_id })
    })
  }
  return Result.succeed(events)
}

const undecodable = ({ position, stream, type, version }: EventRow, cause: unknown) =>
  new Error(
    `the ${type} at position ${position}, ${stream}@${version}, does not decode: ${
      cause instanceof Error ? cause.message : cause
    }`,
    { cause }
  )
