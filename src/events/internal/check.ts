/** Why a log refuses what it is asked for, in one place for all implementations. */
import type { Cause, Expected, Fence, StreamAppend } from "../EventLog.ts"
import { StreamFenced, VersionConflict } from "../EventLogError.ts"

/** Why a part of an append is refused, if it is, by a stream that is at version `actual` in the epoch `current`. */
export const refusalOf = (
  { epoch, expected, stream }: StreamAppend,
  actual: number,
  current: number
): StreamFenced | VersionConflict | undefined => {
  // Who has lost the stream has nothing to expect of it.
  const fenced = epoch === undefined ? undefined : fencedBy({ stream, epoch }, current)
  if (fenced !== undefined) return fenced
  return meets(expected, actual) ? undefined : new VersionConflict({ stream, expected, actual })
}

/** Why nothing is done behind a fence whose stream is in the epoch `current`, if it is so. */
export const fencedBy = ({ epoch, stream }: Fence, current: number): StreamFenced | undefined =>
  epoch === current ? undefined : new StreamFenced({ stream, epoch, current })

/** Whether a stream at version `actual` is where the append takes it to be. */
export const meets = (expected: Expected, actual: number): boolean => {
  switch (expected) {
    case "any":
      return true
    case "none":
      return actual === 0
    case "exists":
      return actual > 0
    default:
      return actual === expected
  }
}

/** An index entry of PostgreSQL holds some 2,700 bytes. */
const streamBytesMax = 1024

/** Why no log takes such an append, wherever its streams are. */
export const malformation = (
  appends: ReadonlyArray<StreamAppend>,
  about: Cause & { readonly at: number }
): string | undefined => {
  const streams = appends.map(({ stream }) => stream)
  if (new Set(streams).size < streams.length) return "an append names a stream twice"
  if (!Number.isSafeInteger(about.at)) return `${about.at} is not a time in milliseconds`
  const causes = [about, ...appends.flatMap(({ causes }) => causes ?? [])]
  return nameMalformation(
    streams,
    causes.flatMap(({ causationId, commandId, correlationId }) => [commandId, correlationId, causationId])
  )
}

/** Why there can be no streams of these names, or no such ids. */
export const nameMalformation = (
  streams: ReadonlyArray<string>,
  ids: ReadonlyArray<string | undefined>
): string | undefined => {
  if (streams.some((stream) => Buffer.byteLength(stream) > streamBytesMax)) {
    return `the name of a stream has more than ${streamBytesMax} bytes`
  }
  return [...streams, ...ids].some((text) => text !== undefined && (text.includes("\0") || !text.isWellFormed()))
    ? "the name of a stream or an id is not text that PostgreSQL can hold"
    : undefined
}
