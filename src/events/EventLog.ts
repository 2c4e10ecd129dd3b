/**
 * The event log: the only ground state. Everything else is a fold over it.
 *
 * A stream is a sequence of events with versions 1, 2, 3 … without gaps. Over all streams there is one position, which
 * grows in the order of the commits. Each stream is a hash chain (`Chain.ts`) and has at most one owner at a time: claiming
 * it starts an epoch, and who appends with an older one is refused.
 *
 * This file has the service; `internal/memory.ts` is the implementation for a process, `PostgresEventLog.ts` the durable
 * one. Whatever implements it has to pass `testing/EventLogContract.ts`.
 */
import { Context, type Effect, Layer, type Option, Schema, type Stream } from "effect"
import type { Hash } from "./Chain.ts"
import { DaemonEvent } from "./DaemonEvent.ts"
import { DirectiveEvent } from "./DirectiveEvent.ts"
import type { EventLogError, StreamFenced, VersionConflict } from "./EventLogError.ts"
import { makeMemory } from "./internal/memory.ts"
import { SupervisorEvent } from "./SupervisorEvent.ts"
import type { LoggedEvent, Unreadable, UnreadableEvent } from "./Unreadable.ts"

export { EventLogError, StreamFenced, VersionConflict } from "./EventLogError.ts"

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
  /** Of this event and all before it in its stream, as `Chain.ts` says. */
  readonly hash: Hash
  /** In today's shape. */
  readonly event: E
  /** What is stored, where that is of an older version or has fields that are not known here. */
  readonly stored?: Schema.Json
}

/**
 * What an append takes the stream's version to be: exactly that number (0 is a stream without events), `none` (no
 * events yet), `exists` (at least one), or `any`.
 */
export type Expected = number | "none" | "exists" | "any"

/**
 * The part of an append that goes to one stream. A stream appears at most once in an append. A part without events says
 * what has to be so for the others to be appended.
 */
export interface StreamAppend {
  readonly stream: string
  readonly expected: Expected
  /** The epoch in which whoever appends has the stream. Without one, anybody may append. */
  readonly epoch?: number
  readonly events: ReadonlyArray<StoredEvent>
  /** What each of the events was caused by, where that is not the same for the whole append. */
  readonly causes?: ReadonlyArray<Cause>
}

/** A stream, and the epoch that it has to be in for something to be done. */
export interface Fence {
  readonly stream: string
  readonly epoch: number
}

/** Which events a read gives. `after` and `before` are versions of a stream, or positions where all are read. */
export interface ReadOptions {
  readonly after?: number
  readonly before?: number
  /** At most so many. */
  readonly limit?: number
  /** Oldest first, or with `backward` newest first. */
  readonly direction?: "forward" | "backward"
}

/** Where a stream is: version 0 with `Chain.start` if it has no events, epoch 0 if nobody has ever claimed it. */
export interface StreamHead {
  readonly version: number
  readonly hash: Hash
  readonly epoch: number
  readonly owner: string | undefined
}

export class EventLog extends Context.Service<EventLog, {
  /**
   * Appends all events to all streams or nothing, if every stream is where it is expected to be, in the epoch that is
   * given. It answers when the events survive a crash, with the events in the order given.
   */
  append(
    appends: ReadonlyArray<StreamAppend>,
    about: Cause & { readonly at: number }
  ): Effect.Effect<ReadonlyArray<RecordedEvent>, VersionConflict | StreamFenced | EventLogError>
  /**
   * Takes streams over, whoever has them, and gives the epoch that begins with that in each. It answers when all
   * earlier appends to them have been committed or never will be, so what is read afterwards is what there is. With a
   * fence, it takes them all or, if that is in another epoch, none. Where it fails with an unknown outcome, it may still take
   * them over later.
   */
  claim(
    streams: ReadonlyArray<string>,
    owner: string,
    fence?: Fence
  ): Effect.Effect<ReadonlyArray<number>, StreamFenced | EventLogError>
  /** The events of one stream up to now. It fails where an event cannot be read, after those before it. */
  read(stream: string, options?: ReadOptions): Stream.Stream<RecordedEvent, EventLogError | UnreadableEvent>
  /**
   * The events of all streams up to now. One that cannot be read is there as `Unreadable`: it concerns nobody but its
   * stream.
   */
  readAll(options?: ReadOptions): Stream.Stream<LoggedEvent, EventLogError>
  /**
   * The events after a position, or after those there are now, and then on and on as events are committed: each once, in
   * order, none left out. Who goes on after a failure from the last position that came misses none either.
   */
  subscribe(options?: { readonly after?: number | "now" }): Stream.Stream<LoggedEvent, EventLogError>
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
  /** Where a stream is, and who has it. */
  streamHead(stream: string): Effect.Effect<StreamHead, EventLogError>
  /** The position of the newest event, 0 in an empty log. */
  readonly head: Effect.Effect<number, EventLogError>
}>()("makima-runtime/events/EventLog") {
  /** As `layerMemory`, with what is in it already. */
  static readonly layerMemoryWith = (past: ReadonlyArray<LoggedEvent>) => Layer.effect(EventLog, makeMemory(past))

  /** Keeps the events in this process and forgets them with it: for rules, simulation and tests. */
  static readonly layerMemory = this.layerMemoryWith([])
}
