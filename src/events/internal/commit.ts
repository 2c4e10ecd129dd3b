/** What one commit says to the database, as the arrays that `append_events` takes, and what its answer means. */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { Exit, Result } from "effect"
import type { Expected, Fence, RecordedEvent } from "../EventLog.ts"
import { StreamFenced, type VersionConflict } from "../EventLogError.ts"
import { fencedBy, refusalOf } from "./check.ts"
import { anyEpoch, expectedCodes } from "./eventLogSchema.ts"
import type { Pending, PendingAppend, PendingClaim } from "./pending.ts"
import { hex } from "./rows.ts"

/**
 * For each part of the appends: where its stream was, its epoch, and the position before its first event unless it was
 * refused. For each event its hash, for each claimed stream its epoch unless that was refused, and the epochs of the guards.
 */
export interface Answer {
  readonly actuals: ReadonlyArray<number> | null
  readonly currents: ReadonlyArray<number> | null
  readonly befores: ReadonlyArray<bigint | null> | null
  readonly hashes: ReadonlyArray<Uint8Array | null> | null
  readonly epochs: ReadonlyArray<number | null> | null
  readonly guards: ReadonlyArray<number> | null
}

export const statement = `SELECT actuals, currents, befores, hashes, epochs, guards FROM append_events(${
  Array.from({ length: 23 }, (_, i) => `$${i + 1}`).join(", ")
})`

const int4Max = 2 ** 31 - 1

/** In the order of their rounds: who follows another in the same stream comes in a later round than that one. */
const inRounds = (group: ReadonlyArray<PendingAppend>): ReadonlyArray<{ round: number; pending: PendingAppend }> => {
  const last = new Map<string, number>()
  const entries = group.map((pending) => {
    const { parts } = pending
    const round = 1 + parts.reduce((max, { stream }) => Math.max(max, last.get(stream) ?? 0), 0)
    for (const { stream } of parts) last.set(stream, round)
    return { round, pending }
  })
  return entries.sort((a, b) => a.round - b.round)
}

const isInt4 = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= int4Max

const expectedCode = (expected: Expected): number => {
  if (typeof expected === "string") return expectedCodes[expected]
  return isInt4(expected) ? expected : expectedCodes.never
}

/** A number that is no epoch is one that nobody is ever in. */
const epochCode = (epoch: number | undefined): number =>
  epoch === undefined ? anyEpoch : isInt4(epoch) ? epoch : expectedCodes.never

export interface Encoded {
  readonly parameters: ReadonlyArray<unknown>
  /** In the order in which the answer is about them. */
  readonly appends: ReadonlyArray<PendingAppend>
  readonly claims: ReadonlyArray<PendingClaim>
  /** Where the epoch of a guard's stream is in the answer, counted from 1. */
  readonly guards: ReadonlyMap<string, number>
}

/** The parameters of the statement, and whom its answer is about. */
export const encode = (group: ReadonlyArray<Pending>): Encoded => {
  const claims = group.filter(({ _tag }) => _tag === "Claim") as ReadonlyArray<PendingClaim>
  const ordered = inRounds(group.filter(({ _tag }) => _tag === "Append") as ReadonlyArray<PendingAppend>)
  const parts = ordered.flatMap(({ pending, round }, i) =>
    pending.parts.map((part) => ({ ...part, round, append: i + 1 }))
  )
  const guards = new Map<string, number>()
  for (const { guard } of group) {
    if (guard !== undefined && !guards.has(guard.stream)) guards.set(guard.stream, guards.size + 1)
  }
  const placeOf = (guard: Fence | undefined) => guard === undefined ? 0 : guards.get(guard.stream)!
  const claimGuards = claims.flatMap(({ guard, streams }) => streams.map(() => guard))
  const events = ordered.flatMap(({ pending }) => pending.events)
  const starts: Array<number> = []
  const eventParts: Array<number> = []
  for (const [i, part] of parts.entries()) {
    starts.push(eventParts.length)
    for (let count = part.events.length; count > 0; count--) eventParts.push(i + 1)
  }
  const parameters = [
    integers(parts.flatMap(({ round }, i) => parts[i + 1]?.round === round ? [] : [i + 1])),
    integers(parts.map(({ append }) => append)),
    texts(parts.map(({ stream }) => stream)),
    integers(parts.map(({ expected }) => expectedCode(expected))),
    integers(parts.map(({ epoch }) => epochCode(epoch))),
    integers(starts),
    integers(parts.map(({ events }) => events.length)),
    integers(eventParts),
    texts(events.map(({ type }) => type)),
    integers(events.map(({ schemaVersion }) => schemaVersion)),
    texts(events.map(({ data }) => data)),
    PgTypes.bytea(Buffer.from(events.map(({ content }) => content).join(""), "hex")),
    array(ordered.map(({ pending }) => BigInt(pending.at)), PgTypes.OID.int8),
    ids(events.map(({ cause }) => cause.commandId)),
    ids(events.map(({ cause }) => cause.correlationId)),
    ids(events.map(({ cause }) => cause.causationId)),
    texts(claims.flatMap(({ streams }) => streams)),
    texts(claims.flatMap(({ owner, streams }) => streams.map(() => owner))),
    texts([...guards.keys()]),
    integers(ordered.map(({ pending }) => placeOf(pending.guard))),
    integers(ordered.map(({ pending }) => epochCode(pending.guard?.epoch))),
    integers(claimGuards.map(placeOf)),
    integers(claimGuards.map((guard) => epochCode(guard?.epoch)))
  ]
  return { parameters, appends: ordered.map(({ pending }) => pending), claims, guards }
}

const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))
const integers = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.int4)
const texts = (values: ReadonlyArray<string>) => array(values, PgTypes.OID.text)
/** Most appends have no ids of some kind, and that need not be said of each event. */
const ids = (values: ReadonlyArray<string | undefined>) => {
  const given = values.some((value) => value !== undefined) ? values.map((value) => value ?? null) : null
  return Result.getOrThrow(PgTypes.array(given, PgTypes.OID.text))
}

export type Outcome = Exit.Exit<ReadonlyArray<RecordedEvent>, VersionConflict | StreamFenced>

/** What became of each append, in the order of `Encoded`. */
export const outcomes = ({ appends, guards }: Encoded, answer: Answer): ReadonlyArray<Outcome> => {
  let part = 0
  let event = 0
  return appends.map((pending) => {
    const guard = pending.guard && fencedBy(pending.guard, epochAt(guards, answer, pending.guard))
    const outcome = outcomeOf(pending, guard, answer, part, event)
    part += pending.parts.length
    event += pending.events.length
    return outcome
  })
}

const epochAt = (guards: Encoded["guards"], answer: Answer, { stream }: Fence): number =>
  answer.guards![guards.get(stream)! - 1]!

const outcomeOf = (
  append: PendingAppend,
  guarded: StreamFenced | undefined,
  { actuals, befores, currents, hashes }: Answer,
  firstPart: number,
  firstEvent: number
): Outcome => {
  const { appends, at, events: pending, guard } = append
  let place = firstPart
  for (const part of appends) {
    const refusal = part === guard ? guarded : refusalOf(part, actuals![place]!, currents![place++]!)
    if (refusal !== undefined) return Exit.fail(refusal)
  }
  const events: Array<RecordedEvent> = []
  for (const [i, { events: given, stream }] of append.parts.entries()) {
    const before = Number(befores![firstPart + i])
    const version = actuals![firstPart + i]!
    for (const [j, event] of given.entries()) {
      const { cause, schemaVersion } = pending[events.length]!
      const hash = hex(hashes![firstEvent + events.length]!)
      events.push({
        position: before + j + 1,
        stream,
        version: version + j + 1,
        schemaVersion,
        at,
        hash,
        event,
        ...cause
      })
    }
  }
  return Exit.succeed(events)
}

/** The epochs that each claim has begun, or why it has not, in the order of `Encoded`. */
export const claimed = (
  { claims, guards }: Encoded,
  answer: Answer
): ReadonlyArray<Exit.Exit<ReadonlyArray<number>, StreamFenced>> => {
  let first = 0
  return claims.map(({ guard, streams }) => {
    const epochs = (answer.epochs ?? []).slice(first, first += streams.length)
    const begun = epochs.filter((epoch) => epoch !== null)
    if (guard === undefined || begun.length === streams.length) return Exit.succeed(begun)
    return Exit.fail(new StreamFenced({ ...guard, current: epochAt(guards, answer, guard) }))
  })
}
