/** What the cases of the contract are made of. */
import { Effect, Result, type Scope, Stream } from "effect"
import { AssertionError, strict as assert } from "node:assert"
import { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import {
  EventLog,
  type EventLogError,
  type Expected,
  type ReadOptions,
  type StreamFenced,
  type VersionConflict
} from "../../events/EventLog.ts"
import type { LoggedEvent } from "../../events/Unreadable.ts"

/** A promise, and what shows whether it is kept. */
export interface Case {
  readonly name: string
  /** It takes thousands of events or megabytes: what a suite for many databases may want to leave out. */
  readonly isHeavy: boolean
  readonly run: Effect.Effect<void, AssertionError, EventLog>
}

type Show = () => Generator<Effect.Effect<unknown, unknown, EventLog | Scope.Scope>, void, never>

export const holds = (name: string, show: Show): Case => toCase(name, show, false)

export const holdsAtLarge = (name: string, show: Show): Case => toCase(name, show, true)

const toCase = (name: string, show: Show, isHeavy: boolean): Case => ({
  name,
  isHeavy,
  run: Effect.scoped(Effect.gen(show)).pipe(
    Effect.catchDefect((defect) => defect instanceof AssertionError ? Effect.fail(defect) : Effect.die(defect)),
    Effect.mapError((error) => error instanceof AssertionError ? error : broken(error))
  )
})

/** Something failed that must not, or did not fail that must. */
const broken = (found: unknown): AssertionError => {
  const said = found instanceof Error ? `it failed: ${found.message}` : `it went well: ${JSON.stringify(found)}`
  return Object.assign(new AssertionError({ message: said }), { cause: found })
}

export { assert }

export const at = 1_700_000_000_000
export const about = { at }

/** An event that can be told from others. */
export const fact = (value: string) => DirectiveEvent.cases.MemorySet.make({ key: "fact", value })
export const facts = (...values: ReadonlyArray<string>) => values.map(fact)

export const valueOf = ({ event }: LoggedEvent): string => event._tag === "MemorySet" ? event.value : event._tag
export const valuesOf = (events: ReadonlyArray<LoggedEvent>) => events.map(valueOf)

export const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

/** Names of streams that no case before has used in this log: what is there already is left alone. */
export const names = Effect.map(EventLog.use((log) => log.head), (head) => (name: string) => `contract-${head}/${name}`)

export const append = (stream: string, expected: Expected, ...values: ReadonlyArray<string>) =>
  EventLog.use((log) => log.append([{ stream, expected, events: facts(...values) }], about))

/** An append by somebody who takes the stream to be in an epoch. */
export const appendIn = (stream: string, epoch: number, ...values: ReadonlyArray<string>) =>
  EventLog.use((log) => log.append([{ stream, expected: "any", epoch, events: facts(...values) }], about))

export const read = (stream: string, options?: ReadOptions) =>
  EventLog.use((log) => Stream.runCollect(log.read(stream, options)))

export const readAll = (options?: ReadOptions) => EventLog.use((log) => Stream.runCollect(log.readAll(options)))

export const readValues = (stream: string, options?: ReadOptions) => Effect.map(read(stream, options), valuesOf)

export const head = EventLog.use((log) => log.head)

type Refused<A, R> = Effect.Effect<A, VersionConflict | StreamFenced | EventLogError, R>

/** The conflict that the append comes to. */
export const conflictOf = <A, R>(append: Refused<A, R>) =>
  Effect.map(Effect.flip(append), (error) =>
    error._tag === "VersionConflict"
      ? { stream: error.stream, expected: error.expected, actual: error.actual }
      : error._tag)

/** The fence that the append runs into. */
export const fenceOf = <A, R>(append: Refused<A, R>) =>
  Effect.map(Effect.flip(append), (error) =>
    error._tag === "StreamFenced"
      ? { stream: error.stream, epoch: error.epoch, current: error.current }
      : error._tag)

/** What became of many things done at once. */
export const together = <A, B, E, R>(
  items: ReadonlyArray<A>,
  use: (item: A, index: number) => Effect.Effect<B, E, R>
) => Effect.forEach(items, (item, i) => Effect.result(use(item, i)), { concurrency: "unbounded" })

/** `Success`, or the tag of the error. */
export const tagOf = <A, E extends { readonly _tag: string }>(result: Result.Result<A, E>): string =>
  Result.isSuccess(result) ? "Success" : result.failure._tag
