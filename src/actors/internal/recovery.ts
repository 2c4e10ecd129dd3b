/**
 * How an actor comes by its state: from its snapshot and the events since, or from all events of its stream. Whatever is
 * wrong with a snapshot, the stream is right.
 */
import { Effect, Option, Result, Stream } from "effect"
import type { EventLog, EventLogError, RecordedEvent, StoredEvent } from "../../events/EventLog.ts"
import { isWhole, type Snapshot, Snapshots } from "../../events/Snapshots.ts"
import type { UnreadableEvent } from "../../events/Unreadable.ts"
import type { StateCodec } from "./codec.ts"

/** A state, and the place in the log that it is the state of. */
export interface Folded<State> {
  readonly state: State
  readonly version: number
  readonly position: number
}

export interface Recovered<State> extends Folded<State> {
  /** The version of the snapshot that it came from, 0 without one. */
  readonly snapshotVersion: number
}

interface Fold<State, Event> {
  readonly empty: (stream: string) => State
  readonly evolve: (state: State, event: Event) => State
  readonly snapshots?: StateCodec<State>
}

export const recover = Effect.fnUntraced(function*<State, Event extends StoredEvent>(
  log: EventLog["Service"],
  stream: string,
  fold: Fold<State, Event>
): Effect.fn.Return<Recovered<State>, EventLogError | UnreadableEvent> {
  const snapshot = fold.snapshots === undefined ? undefined : yield* find(stream, fold.snapshots.schema)
  if (fold.snapshots !== undefined && snapshot !== undefined) {
    const recovered = yield* goOn(log, stream, fold, fold.snapshots, snapshot)
    if (Result.isSuccess(recovered)) return { ...recovered.success, snapshotVersion: snapshot.version }
    yield* Effect.logWarning(
      `The snapshot of ${stream} at version ${snapshot.version} is of no use: ${recovered.failure}`
    )
  }
  const start: Folded<State> = { state: fold.empty(stream), version: 0, position: 0 }
  const folded = yield* Stream.runFold(log.read(stream), () => start, apply(fold))
  return { ...folded, snapshotVersion: 0 }
})

const apply =
  <State, Event extends StoredEvent>({ evolve }: Fold<State, Event>) =>
  ({ state }: Folded<State>, { event, position, version }: RecordedEvent): Folded<State> => ({
    state: evolve(state, event as Event),
    version,
    position
  })

/** The snapshot that this code took. That of other code is no trouble: it is there after every change of a state. */
const find = Effect.fnUntraced(function*(stream: string, schema: string) {
  const snapshots = yield* Snapshots
  const found = yield* snapshots.load(stream).pipe(
    Effect.tapError((error) => Effect.logWarning(`${stream} is folded from its first event`, error)),
    Effect.orElseSucceed(Option.none)
  )
  const snapshot = Option.getOrUndefined(found)
  return snapshot?.schema === schema ? snapshot : undefined
})

/** Goes on from a snapshot, if it is whole and its last event is where it was: or why not. */
const goOn = Effect.fnUntraced(function*<State, Event extends StoredEvent>(
  log: EventLog["Service"],
  stream: string,
  fold: Fold<State, Event>,
  codec: StateCodec<State>,
  snapshot: Snapshot
): Effect.fn.Return<Result.Result<Folded<State>, string>, EventLogError | UnreadableEvent> {
  if (!isWhole(snapshot)) return Result.fail("it is damaged")
  const decoded = Result.try({
    try: () => codec.decode(snapshot.state),
    catch: (cause) => `it cannot be read: ${cause}`
  })
  if (Result.isFailure(decoded)) return Result.fail(decoded.failure)
  const { position, version } = snapshot
  const next = apply(fold)
  let isItsOwn = false
  const folded = yield* log.read(stream, { after: version - 1 }).pipe(
    Stream.runFold((): Folded<State> => ({ state: decoded.success, version, position }), (current, recorded) => {
      if (isItsOwn) return next(current, recorded)
      isItsOwn = recorded.version === version && recorded.position === position
      return current
    })
  )
  return isItsOwn ? Result.succeed(folded) : Result.fail(`${stream} has no such event at position ${position}`)
})
