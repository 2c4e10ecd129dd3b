/** What waits for the next commit: appends, already in the form in which they are stored, and claims. */
import type { Deferred } from "effect"
import * as Chain from "../Chain.ts"
import type { Cause, Fence, RecordedEvent, StoredEvent, StreamAppend } from "../EventLog.ts"
import type { EventLogError, StreamFenced, VersionConflict } from "../EventLogError.ts"
import * as Vocabulary from "../Vocabulary.ts"

export type AppendError = VersionConflict | StreamFenced | EventLogError

interface Waiting<A, E> {
  /** How much a commit has to carry for it, in characters. */
  readonly size: number
  readonly reply: Deferred.Deferred<A, E>
  /** The database has been told, so that what becomes of it is no longer up to us. */
  sent: boolean
  /** Nobody waits for it any more. What has not been sent need not be. */
  abandoned: boolean
}

export interface PendingAppend extends Waiting<ReadonlyArray<RecordedEvent>, AppendError> {
  readonly _tag: "Append"
  readonly appends: ReadonlyArray<StreamAppend>
  /** That part which is only about an epoch, if there is one: it is looked at for the whole commit. */
  readonly guard: Fence | undefined
  /** All others, which are looked at one by one. */
  readonly parts: ReadonlyArray<StreamAppend>
  readonly at: number
  /** Of all parts, one after another. */
  readonly events: ReadonlyArray<PendingEvent>
}

export interface PendingEvent {
  readonly schemaVersion: number
  readonly type: string
  readonly data: string
  readonly content: Chain.Hash
  readonly cause: Cause
}

export interface PendingClaim extends Waiting<ReadonlyArray<number>, StreamFenced | EventLogError> {
  readonly _tag: "Claim"
  readonly streams: ReadonlyArray<string>
  readonly owner: string
  readonly guard: Fence | undefined
}

export type Pending = PendingAppend | PendingClaim

/** What a reader takes in one message; see `messageBytesMax` of the database. */
const eventCharsMax = 16 * 1024 * 1024
/**
 * One statement carries about this much, or one append if that alone is larger: enough to make the rest of a commit cheap,
 * and no more, so that those who are answered can prepare their next append while the database has another group to do.
 */
const commitCharsMax = 512 * 1024
/** What the rest of an event takes: its type, its hash, its place. */
const eventCharsMin = 100

/** Stored events are plain JSON: their encoded form is themselves, and the compiler says so. */
const toJson = (event: StoredEvent): string => JSON.stringify(event satisfies typeof StoredEvent.Encoded)

export const toAppend = (
  appends: ReadonlyArray<StreamAppend>,
  { at, ...cause }: Cause & { readonly at: number },
  reply: PendingAppend["reply"]
): PendingAppend => {
  const events: Array<PendingEvent> = []
  let size = 0
  for (const { causes, events: given, stream } of appends) {
    for (const [i, event] of given.entries()) {
      const pending = toEvent(stream, at, event, causes?.[i] ?? cause)
      size += eventCharsMin + pending.data.length
      events.push(pending)
    }
  }
  const guard = appends.length > 1 ? appends.find(isGuard) : undefined
  const parts = guard === undefined ? appends : appends.filter((part) => part !== guard)
  return { _tag: "Append", appends, guard, parts, at, events, size, reply, sent: false, abandoned: false }
}

const isGuard = (part: StreamAppend): part is StreamAppend & Fence =>
  part.events.length === 0 && part.expected === "any" && part.epoch !== undefined

const toEvent = (stream: string, at: number, event: StoredEvent, cause: Cause): PendingEvent => {
  const schemaVersion = Vocabulary.versionOf(event)
  // Here and not when it is committed: meanwhile the database has the commit before to do.
  const content = Chain.contentOf({ ...cause, stream, schemaVersion, at, event })
  return { schemaVersion, type: event._tag, data: toJson(event), content, cause }
}

export const toClaim = (
  streams: ReadonlyArray<string>,
  owner: string,
  guard: Fence | undefined,
  reply: PendingClaim["reply"]
): PendingClaim => {
  const size = streams.reduce((sum, stream) => sum + stream.length + owner.length, 0)
  return { _tag: "Claim", streams, owner, guard, size, reply, sent: false, abandoned: false }
}

/** Why it is too large for the database, if it is: an error in a statement would fail everybody in its group. */
export const oversize = ({ events }: PendingAppend): string | undefined =>
  events.some(({ data }) => data.length > eventCharsMax)
    ? `an event has more than ${eventCharsMax} characters`
    : undefined

/** The first of those waiting that make one commit. */
export const nextGroup = (waiting: ReadonlyArray<Pending>): ReadonlyArray<Pending> => {
  let size = 0
  const end = waiting.findIndex((pending, i) => (size += pending.size) > commitCharsMax && i > 0)
  return end < 0 ? waiting : waiting.slice(0, end)
}
