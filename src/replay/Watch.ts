/** A directive as it goes on: what has happened to it, and each event yet to come with the state that it leads to. */
import { Effect, Option, Stream } from "effect"
import * as Directive from "../actors/Directive.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import { EventLog, type EventLogError, type RecordedEvent } from "../events/EventLog.ts"
import type { DirectiveId } from "../events/Ids.ts"
import { type LoggedEvent, type UnreadableEvent, untilUnreadable } from "../events/Unreadable.ts"

export interface Step {
  readonly recorded: RecordedEvent<DirectiveEvent>
  readonly state: Directive.State
}

/** From the first event on, without end, unless there is one that cannot be read. */
export const watch = (directiveId: DirectiveId): Stream.Stream<Step, EventLogError | UnreadableEvent, EventLog> =>
  Stream.unwrap(Effect.gen(function*() {
    const log = yield* EventLog
    const stream = Directive.streamOf(directiveId)
    // Asked before the past is read, so that nothing falls between the two; what comes twice has a version that is past.
    const head = yield* log.head
    return Stream.concat(log.read(stream), log.subscribe({ after: head })).pipe(steps(Directive.empty(stream)))
  }))

/** The directive as soon as nothing more happens to it by itself. */
export const settled = (
  directiveId: DirectiveId
): Effect.Effect<Directive.State, EventLogError | UnreadableEvent, EventLog> =>
  Effect.gen(function*() {
    const log = yield* EventLog
    const stream = Directive.streamOf(directiveId)
    const head = yield* log.head
    const past = log.read(stream).pipe(steps(Directive.empty(stream)), Stream.map(({ state }) => state))
    const now = Option.getOrElse(yield* Stream.runLast(past), () => Directive.empty(stream))
    const next = log.subscribe({ after: head }).pipe(steps(now), Stream.map(({ state }) => state))
    const found = yield* Stream.concat(Stream.succeed(now), next).pipe(Stream.filter(isSettled), Stream.runHead)
    return Option.getOrThrow(found)
  })

const steps =
  (from: Directive.State) => <E>(events: Stream.Stream<LoggedEvent, E>): Stream.Stream<Step, E | UnreadableEvent> =>
    events.pipe(
      Stream.filter(({ stream }) => stream === from.stream),
      untilUnreadable,
      // The stream of a directive has the events of directives.
      Stream.map((recorded) => recorded as RecordedEvent<DirectiveEvent>),
      Stream.mapAccum(() => from, (state, recorded) => {
        if (recorded.version <= state.version) return [state, []]
        const next = Directive.evolve(state, recorded.event)
        return [next, [{ recorded, state: next }]]
      })
    )

/** Whether nothing more happens by itself: idle with its pull request done or given up, stalled, paused or archived. */
export const isSettled = (state: Directive.State): boolean => {
  switch (state.status) {
    case "draft":
    case "active":
      return false
    case "paused":
    case "archived":
      return true
    case "stalled":
      return state.completionTaskId === undefined
    case "idle":
      return state.completionTaskId === undefined && state.completionDueAt === undefined &&
        (state.attention !== undefined || state.unmerged === 0 || state.repositoryUrl === undefined)
  }
}
