/**
 * Takes an archived directive out of a log, once its history is in a transcript.
 *
 * The fact comes first (`DirectiveRemoved`): from then on the directive refuses everything, whether its events are still
 * there or not. Only then they go. Whoever was stopped in between does it again.
 */
import { Clock, Effect, Option, Result, Schema, Stream } from "effect"
import * as Directive from "../actors/Directive.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { EventLog, EventLogError, StreamFenced, VersionConflict } from "../events/EventLog.ts"
import { DirectiveId } from "../events/Ids.ts"
import { Snapshots, type SnapshotsError } from "../events/Snapshots.ts"
import type { UnreadableEvent } from "../events/Unreadable.ts"
import { type BrokenLog, follow } from "./Export.ts"
import { Heads } from "./Heads.ts"
import { upToFailure } from "./internal/upToFailure.ts"
import type { VerifiedTranscript } from "./Verify.ts"

export class NotRemovable extends Schema.TaggedError<NotRemovable>()("NotRemovable", {
  directiveId: DirectiveId,
  because: Schema.String
}) {
  override get message(): string {
    return `directive ${this.directiveId} cannot be removed: ${this.because}`
  }
}

export interface Removable {
  readonly state: Directive.State
  /** Of its last event. */
  readonly hash: string
}

/** The directive as it is now, if it may go. One that is removed already may be removed again. */
export const removable = Effect.fn("Removal.removable")(
  function*(
    log: EventLog["Service"],
    directiveId: DirectiveId
  ): Effect.fn.Return<Removable, NotRemovable | BrokenLog | EventLogError | UnreadableEvent> {
    const stream = Directive.streamOf(directiveId)
    const heads = new Heads()
    let state = Directive.empty(stream)
    let hash = ""
    yield* log.read(stream).pipe(
      Stream.map((event) => Result.map(follow(heads, event), ({ hash }) => ({ event, hash }))),
      upToFailure,
      Stream.runForEachArray((page) =>
        Effect.sync(() => {
          for (const { event } of page) state = Directive.evolve(state, event.event as DirectiveEvent)
          hash = page[page.length - 1]!.hash
        })
      )
    )
    const because = reasonAgainst(state)
    return because === undefined ? { state, hash } : yield* new NotRemovable({ directiveId, because })
  }
)

const reasonAgainst = ({ id, openTasks, removed, status }: Directive.State): string | undefined => {
  if (id === undefined) return "there is none in this log"
  if (removed !== undefined) return undefined
  if (status !== "archived") return `it is ${status}, and only what is archived can go`
  return openTasks === 0 ? undefined : `tasks of it are still being interrupted (${openTasks})`
}

/**
 * Removes the directive whose whole history is in the transcript, as it was read back from where it is kept, and says how
 * many events are gone.
 */
export const remove = Effect.fn("Removal.remove")(
  function*(
    log: EventLog["Service"],
    directiveId: DirectiveId,
    { digest, heads, opening }: VerifiedTranscript
  ): Effect.fn.Return<
    number,
    NotRemovable | BrokenLog | VersionConflict | StreamFenced | EventLogError | UnreadableEvent | SnapshotsError
  > {
    const { hash, state } = yield* removable(log, directiveId)
    if (state.removed !== undefined) return yield* finishRemoval(log, directiveId)
    const head = heads.find(({ stream }) => stream === state.stream)
    if (opening.texts !== "plain" || head?.version !== state.version || head.hash !== hash) {
      return yield* new NotRemovable({ directiveId, because: "the export does not have all of its history" })
    }
    const { stream, version } = head
    const removed = { directiveId, ownerId: state.ownerId, version, hash, exported: digest }
    const at = yield* Clock.currentTimeMillis
    // An actor that still runs somewhere loses the stream, and reads what has become of it when it is asked again.
    const [epoch] = yield* log.claim([stream], "a removal")
    yield* log.append(
      [{ stream, expected: version, epoch: epoch!, events: [{ _tag: "DirectiveRemoved", ...removed }] }],
      { at, causationId: "RemoveDirective" }
    )
    return yield* finishRemoval(log, directiveId)
  }
)

/** Takes away what is left of a directive that is removed, and says how many events that were. */
export const finishRemoval = Effect.fn("Removal.finishRemoval")(
  function*(
    log: EventLog["Service"],
    directiveId: DirectiveId
  ): Effect.fn.Return<number, EventLogError | UnreadableEvent | SnapshotsError> {
    const stream = Directive.streamOf(directiveId)
    const last = Option.getOrUndefined(yield* Stream.runHead(log.read(stream, { direction: "backward", limit: 1 })))
    if (last?.event._tag !== "DirectiveRemoved") return 0
    const gone = yield* log.truncate(stream, last.version)
    yield* (yield* Snapshots).drop(stream)
    return gone
  }
)
