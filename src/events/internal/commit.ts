/** What one commit says to the database: appends that waited together, as the arrays that `append_events` takes. */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { type Deferred, Exit, Result } from "effect"
import {
  type Cause,
  type EventLogError,
  type Expected,
  meets,
  type RecordedEvent,
  type StoredEvent,
  type StreamAppend,
  VersionConflict
} from "../EventLog.ts"
import * as Vocabulary from "../Vocabulary.ts"
import { expectedCodes } from "./eventLogSchema.ts"

/** An append on its way, already in the form in which it is stored. */
export interface Pending {
  readonly appends: ReadonlyArray<StreamAppend>
  readonly about: Cause & { readonly at: number }
  /** The events of all parts, one after another. */
  readonly data: ReadonlyArray<string>
  /** What each of them was caused by. */
  readonly causes: ReadonlyArray<Cause>
  readonly size: number
  readonly reply: Deferred.Deferred<ReadonlyArray<RecordedEvent>, VersionConflict | EventLogError>
  /** Nobody waits for it any more. What has not gone out need not. */
  abandoned: boolean
}

/** For each part: where its stream was, and the position before its first event unless it was refused. */
export interface Answer {
  readonly actuals: ReadonlyArray<number>
  readonly befores: ReadonlyArray<bigint | null>
}

export const statement = `SELECT actuals, befores FROM append_events(${
  Array.from({ length: 14 }, (_, i) => `$${i + 1}`).join(", ")
})`

/** An index entry of PostgreSQL holds some 2,700 bytes. */
const streamBytesMax = 1024
/** What a reader takes in one message; see `messageBytesMax` of the database. */
const eventCharsMax = 16 * 1024 * 1024
/** One statement carries about this much, or one append if that alone is larger. */
const commitCharsMax = 8 * 1024 * 1024
const versionMax = 2 ** 31 - 1

/** Stored events are plain JSON: their encoded form is themselves, and the compiler says so. */
const toJson = (event: StoredEvent): string => JSON.stringify(event satisfies typeof StoredEvent.Encoded)

export const toPending = (
  appends: ReadonlyArray<StreamAppend>,
  about: Cause & { readonly at: number },
  reply: Pending["reply"]
): Pending => {
  const data = appends.flatMap(({ events }) => events.map(toJson))
  const causes = appends.flatMap(({ causes, events }) => events.map((_, i) => causes?.[i] ?? about))
  const size = data.reduce((sum, { length }) => sum + length, 0)
  return { appends, about, data, causes, size, reply, abandoned: false }
}

/**
 * Why the database would refuse this append, if it would. Asked before it joins a group: an error in a statement fails
 * everybody in it.
 */
export const refusal = ({ about, appends, causes, data }: Pending): string | undefined => {
  const streams = appends.map(({ stream }) => stream)
  if (new Set(streams).size < streams.length) return "an append names a stream twice"
  if (streams.some((stream) => Buffer.byteLength(stream) > streamBytesMax)) {
    return `the name of a stream has more than ${streamBytesMax} bytes`
  }
  const ids = causes.flatMap(({ causationId, commandId, correlationId }) => [commandId, correlationId, causationId])
  if ([...streams, ...ids].some((text) => text !== undefined && (text.includes("\0") || !text.isWellFormed()))) {
    return "the name of a stream or an id is not text that PostgreSQL can hold"
  }
  if (!Number.isSafeInteger(about.at)) return `${about.at} is not a time in milliseconds`
  if (data.some(({ length }) => length > eventCharsMax)) return `an event has more than ${eventCharsMax} characters`
  return undefined
}

/** The first of those waiting that make one commit. */
export const nextGroup = (waiting: ReadonlyArray<Pending>): ReadonlyArray<Pending> => {
  let size = 0
  const end = waiting.findIndex((pending, i) => (size += pending.size) > commitCharsMax && i > 0)
  return end < 0 ? waiting : waiting.slice(0, end)
}

/** In the order of their rounds: who follows another in the same stream comes in a later round than that one. */
const inRounds = (group: ReadonlyArray<Pending>): ReadonlyArray<{ round: number; pending: Pending }> => {
  const last = new Map<string, number>()
  const entries = group.map((pending) => {
    const round = 1 + pending.appends.reduce((max, { stream }) => Math.max(max, last.get(stream) ?? 0), 0)
    for (const { stream } of pending.appends) last.set(stream, round)
    return { round, pending }
  })
  return entries.sort((a, b) => a.round - b.round)
}

const expectedCode = (expected: Expected): number => {
  if (typeof expected === "string") return expectedCodes[expected]
  return Number.isInteger(expected) && expected >= 0 && expected <= versionMax ? expected : expectedCodes.never
}

/** The parameters of the statement, and how its answer is read for each append. */
export const encode = (group: ReadonlyArray<Pending>) => {
  const ordered = inRounds(group)
  const parts = ordered.flatMap(({ pending, round }, i) =>
    pending.appends.map((part) => ({ ...part, round, append: i + 1 }))
  )
  const starts: Array<number> = []
  const eventParts: Array<number> = []
  const eventTypes: Array<string> = []
  const eventVersions: Array<number> = []
  for (const [i, { events }] of parts.entries()) {
    starts.push(eventParts.length)
    for (const event of events) {
      eventParts.push(i + 1)
      eventTypes.push(event._tag)
      eventVersions.push(Vocabulary.versionOf(event))
    }
  }
  const causes = ordered.flatMap(({ pending }) => pending.causes)
  const parameters = [
    integers(parts.flatMap(({ round }, i) => parts[i + 1]?.round === round ? [] : [i + 1])),
    integers(parts.map(({ append }) => append)),
    texts(parts.map(({ stream }) => stream)),
    integers(parts.map(({ expected }) => expectedCode(expected))),
    integers(starts),
    integers(parts.map(({ events }) => events.length)),
    integers(eventParts),
    texts(eventTypes),
    integers(eventVersions),
    texts(ordered.flatMap(({ pending }) => pending.data)),
    array(ordered.map(({ pending }) => BigInt(pending.about.at)), PgTypes.OID.int8),
    texts(causes.map(({ commandId }) => commandId ?? null)),
    texts(causes.map(({ correlationId }) => correlationId ?? null)),
    texts(causes.map(({ causationId }) => causationId ?? null))
  ]
  return { parameters, pendings: ordered.map(({ pending }) => pending) }
}

const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))
const integers = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.int4)
const texts = (values: ReadonlyArray<string | null>) => array(values, PgTypes.OID.text)

export type Outcome = Exit.Exit<ReadonlyArray<RecordedEvent>, VersionConflict>

/** What became of each append, in the order in which `encode` gave them. */
export const outcomes = (pendings: ReadonlyArray<Pending>, answer: Answer): ReadonlyArray<Outcome> => {
  let first = 0
  return pendings.map((pending) => {
    const outcome = outcomeOf(pending, answer, first)
    first += pending.appends.length
    return outcome
  })
}

const outcomeOf = ({ about: { at, ...cause }, appends }: Pending, answer: Answer, first: number): Outcome => {
  const events: Array<RecordedEvent> = []
  for (const [i, { causes, events: given, expected, stream }] of appends.entries()) {
    const actual = answer.actuals[first + i]!
    if (!meets(expected, actual)) return Exit.fail(new VersionConflict({ stream, expected, actual }))
    const before = Number(answer.befores[first + i])
    for (const [j, event] of given.entries()) {
      const place = { position: before + j + 1, stream, version: actual + j + 1 }
      events.push({ ...place, schemaVersion: Vocabulary.versionOf(event), at, event, ...(causes?.[j] ?? cause) })
    }
  }
  return Exit.succeed(events)
}
