/**
 * The event log: the only ground state. Everything else is a fold over it.
 *
 * A stream is a sequence of events with versions 1, 2, 3 … without gaps. Over all streams there is one position, which
 * grows in the order of the commits. This file has the service and the memory implementation; `PostgresEventLog.ts` is
 * the durable one. Both pass `test/events/EventLogContract.ts`.
 */
import { Context, Effect, Layer, type Option, PubSub, Schema, Stream } from "effect"
import { DaemonEvent } from "./DaemonEvent.ts"
import { DirectiveEvent } from "./DirectiveEvent.ts"
import { follow } from "./internal/follow.ts"
import { SupervisorEvent } from "./SupervisorEvent.ts"
import { type LoggedEvent, type Unreadable, type UnreadableEvent, untilUnreadable } from "./Unreadable.ts"
import * as Vocabulary from "./Vocabulary.ts"

/** Every event that is ever stored. Tags are unique over all kinds of streams. */
export const StoredEvent = Schema.Union([DirectiveEvent, DaemonEvent, SupervisorEvent])
export type StoredEvent = typeof StoredEvent.Type

/** Why an event is there. All optional: what an actor does by itself has no request. */
export interface Cause {
  /** The idempotency key of the command that this event was decided for, where it had one. */
  readonly commandId?: string
  /** The id of the request that the command came with: shared by all that was decided for it. */
  readonly correlationId?: string
  /**
   * What led to this event. For the first event of a decision that is the name of the command, such as `ReportTask`; for
   * each further one, which is a consequence, `stream@version` of the event before it.
   */
  readonly causationId?: string
}

/** An event with its place in the log. `at` is milliseconds since 1970, UTC. */
export interface RecordedEvent<E extends StoredEvent | Unreadable = StoredEvent> extends Cause {
  readonly position: number
  readonly stream: string
  readonly version: number
  /** The version of its type as which it is stored. */
  readonly schemaVersion: number
  readonly at: number
  /** In today's shape. */
  readonly event: E
  /** What is stored, where that is of an older version. */
  readonly stored?: Schema.Json
}

/**
 * What an append takes the stream's version to be: exactly that number (0 is a stream without events), `none` (no
 * events yet), `exists` (at least one), or `any`.
 */
export type Expected = number | "none" | "exists" | "any"

/** The part of an append that goes to one stream. A stream appears at most once in an append. */
export interface StreamAppend {
  readonly stream: string
  readonly expected: Expected
  readonly events: ReadonlyArray<StoredEvent>
  /** What each of the events was caused by, where that is not the same for the whole append. */
  readonly causes?: ReadonlyArray<Cause>
}

export class VersionConflict extends Schema.TaggedError<VersionConflict>()("VersionConflict", {
  stream: Schema.String,
  expected: Schema.Union([Schema.Int, Schema.Literals(["none", "exists", "any"])]),
  actual: Schema.Int
}) {
  override get message(): string {
    return `${this.stream} is at version ${this.actual}, not ${this.expected}`
  }
}

/** The store cannot be reached, or refused the append. */
export class EventLogError extends Schema.TaggedError<EventLogError>()("EventLogError", {
  method: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The event log failed to ${this.method}: ${this.cause instanceof Error ? this.cause.message : this.cause}`
  }
}

export class EventLog extends Context.Service<EventLog, {
  /**
   * Appends all events to all streams or nothing, if every stream is where it is expected to be. It answers when the
   * events survive a crash, with the events in the order given.
   */
  append(
    appends: ReadonlyArray<StreamAppend>,
    about: Cause & { readonly at: number }
  ): Effect.Effect<ReadonlyArray<RecordedEvent>, VersionConflict | EventLogError>
  /**
   * The events of one stream with a version over `after`, oldest first, up to now. It fails where an event cannot be
   * read, after those before it.
   */
  read(
    stream: string,
    options?: { readonly after?: number }
  ): Stream.Stream<RecordedEvent, EventLogError | UnreadableEvent>
  /**
   * The events of all streams with a position over `after`, oldest first, up to now. One that cannot be read is there as
   * `Unreadable`: it concerns nobody but its stream.
   */
  readAll(options?: { readonly after?: number }): Stream.Stream<LoggedEvent, EventLogError>
  /** As `readAll`, and then on and on as events are committed: each event once, in order, none left out. */
  subscribe(options?: { readonly after?: number }): Stream.Stream<LoggedEvent, EventLogError>
  /** The answer that a stream has to a command with this idempotency key: the first, where there are several. */
  findAnswer(
    stream: string,
    commandId: string
  ): Effect.Effect<Option.Option<RecordedEvent>, EventLogError | UnreadableEvent>
  /**
   * Takes away for good the events of a stream before the one of this version, if that is there, and says how many they
   * were. All else stays as it is: versions, positions and hashes go on, and who reads passes over the hole.
   */
  truncate(stream: string, before: number): Effect.Effect<number, EventLogError>
  /** The position of the newest event, 0 in an empty log. */
  readonly head: Effect.Effect<number, EventLogError>
}>()("makima-runtime/events/EventLog") {
  /** As `layerMemory`, with what is in it already. */
  static readonly layerMemoryWith = (past: ReadonlyArray<LoggedEvent>) =>
    Layer.effect(
      EventLog,
      Effect.gen(function*() {
        let all: Array<LoggedEvent> = [...past]
        const streams = Map.groupBy(past, ({ stream }) => stream)
        const heads = yield* PubSub.sliding<number>(1)
        const head = () => all.at(-1)?.position ?? 0
        const versionOf = (stream: string) => streams.get(stream)?.at(-1)?.version ?? 0
        const allAfter = (position: number) => all.slice(firstOver(all, position, (logged) => logged.position))

        const append = Effect.fnUntraced(
          function*(appends: ReadonlyArray<StreamAppend>, { at, ...cause }: Cause & { readonly at: number }) {
            for (const { expected, stream } of appends) {
              const actual = versionOf(stream)
              if (!meets(expected, actual)) return yield* new VersionConflict({ stream, expected, actual })
            }
            const recorded: Array<RecordedEvent> = []
            for (const { causes, events, stream } of appends) {
              const past = streams.get(stream) ?? []
              streams.set(stream, past)
              for (const [i, event] of events.entries()) {
                const place = { position: head() + 1, stream, version: versionOf(stream) + 1 }
                const schemaVersion = Vocabulary.versionOf(event)
                const entry = { ...place, schemaVersion, at, event, ...(causes?.[i] ?? cause) }
                past.push(entry)
                all.push(entry)
                recorded.push(entry)
              }
            }
            if (recorded.length > 0) yield* PubSub.publish(heads, head())
            return recorded
          }
        )

        const pageAfter = (after: number) =>
          Effect.sync(() => {
            const first = firstOver(all, after, (logged) => logged.position)
            return all.slice(first, first + 1000)
          })
        const streamAfter = (stream: string, version: number) => {
          const past = streams.get(stream) ?? []
          return past.slice(firstOver(past, version, (logged) => logged.version))
        }

        return EventLog.of({
          append,
          read: (stream, options) =>
            untilUnreadable(
              Stream.suspend(() => Stream.fromIterable(streamAfter(stream, options?.after ?? 0)))
            ),
          readAll: (options) => Stream.suspend(() => Stream.fromIterable(allAfter(options?.after ?? 0))),
          subscribe: (options) => follow(pageAfter, heads, options?.after ?? 0),
          findAnswer: (stream, commandId) =>
            Stream.runHead(untilUnreadable(
              Stream.suspend(() => Stream.fromIterable((streams.get(stream) ?? []).filter(isAnswerTo(commandId))))
            )),
          truncate: (stream, before) =>
            Effect.sync(() => {
              const kept = streamAfter(stream, before - 1)
              if (kept[0]?.version !== before) return 0
              const gone = streams.get(stream)!.length - kept.length
              streams.set(stream, kept)
              all = all.filter((logged) => logged.stream !== stream || logged.version >= before)
              return gone
            }),
          head: Effect.sync(head)
        })
      })
    )

  /** Keeps the events in this process and forgets them with it: for rules, simulation and tests. */
  static readonly layerMemory = this.layerMemoryWith([])
}

/** The index of the first that is over a place. What is before it is not looked at: readers come page by page. */
const firstOver = <A>(sorted: ReadonlyArray<A>, place: number, placeOf: (one: A) => number): number => {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (placeOf(sorted[middle]!) > place) high = middle
    else low = middle + 1
  }
  return low
}

const isAnswerTo = (commandId: string) => ({ event, ...recorded }: LoggedEvent): boolean =>
  recorded.commandId === commandId &&
  (event._tag === "Unreadable" ? event.type : event._tag) === "CommandAnswered"

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
