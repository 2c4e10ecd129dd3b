/**
 * Events that this code cannot read: of a type or a version that it does not know, or damaged. They concern their own
 * stream: who reads that one fails; who reads all streams gets an `Unreadable` in their place and goes on.
 */
import { Schema, Stream } from "effect"
import type { RecordedEvent } from "./EventLog.ts"

/** What stands in the place of an event that cannot be read. `data` is what is stored, as it is. */
export const Unreadable = Schema.TaggedStruct("Unreadable", {
  type: Schema.String,
  data: Schema.String,
  reason: Schema.String
})
export type Unreadable = typeof Unreadable.Type

/** What the log has at a position: an event, or one that cannot be read. */
export type LoggedEvent = RecordedEvent | RecordedEvent<Unreadable>

/** A stream cannot be read beyond this. */
export class UnreadableEvent extends Schema.TaggedError<UnreadableEvent>()("UnreadableEvent", {
  position: Schema.Natural,
  stream: Schema.String,
  version: Schema.Natural,
  type: Schema.String,
  schemaVersion: Schema.Int,
  reason: Schema.String
}) {
  override get message(): string {
    const { position, reason, schemaVersion, stream, type, version } = this
    return `The ${type} (version ${schemaVersion}) at position ${position}, ${stream}@${version}, ` +
      `cannot be read: ${reason}`
  }
}

export const isReadable = (logged: LoggedEvent): logged is RecordedEvent => logged.event._tag !== "Unreadable"

const errorOf = ({ event, position, schemaVersion, stream, version }: RecordedEvent<Unreadable>): UnreadableEvent =>
  new UnreadableEvent({ position, stream, version, type: event.type, schemaVersion, reason: event.reason })

/** The events of a stream up to the first that cannot be read, which fails it. */
export const untilUnreadable = <E>(
  events: Stream.Stream<LoggedEvent, E>
): Stream.Stream<RecordedEvent, E | UnreadableEvent> =>
  Stream.flatMap(Stream.chunks(events), (page): Stream.Stream<RecordedEvent, UnreadableEvent> => {
    const end = page.findIndex((logged) => !isReadable(logged))
    const first = page[end]
    if (first === undefined || isReadable(first)) return Stream.fromArray(page.filter(isReadable))
    return Stream.concat(Stream.fromArray(page.slice(0, end).filter(isReadable)), Stream.fail(errorOf(first)))
  })

/** Streams that cannot be read beyond some event, by name. */
export type Quarantine = ReadonlyMap<string, UnreadableEvent>

export const noQuarantine: Quarantine = new Map()

export interface Separated {
  /** What can be applied: the events of all streams that are not, or not yet, in quarantine. */
  readonly events: ReadonlyArray<RecordedEvent>
  /** Whose streams are in quarantine from here on. */
  readonly entered: ReadonlyArray<UnreadableEvent>
  readonly quarantine: Quarantine
}

/** For folds over all streams: a stream is left out from its first event that cannot be read on, and the others go on. */
export const separate = (quarantine: Quarantine, logged: ReadonlyArray<LoggedEvent>): Separated => {
  const events: Array<RecordedEvent> = []
  const entered = new Map<string, UnreadableEvent>()
  for (const one of logged) {
    if (quarantine.has(one.stream) || entered.has(one.stream)) continue
    if (isReadable(one)) events.push(one)
    else entered.set(one.stream, errorOf(one))
  }
  if (entered.size === 0) return { events, entered: [], quarantine }
  return { events, entered: [...entered.values()], quarantine: new Map([...quarantine, ...entered]) }
}
