/** A directive as it goes on: what has happened to it, and each event yet to come with the state that it leads to. */
import { Effect, Option, Stream } from "effect"
import * as Directive from "../actors/Directive.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import { EventLog, type EventLogError, type RecordedEvent } from "../events/EventLog.ts"
import type { DirectiveId } from "../events/Ids.ts"

export interface Step {
  readonly recorded: RecordedEvent<DirectiveEvent>
  readonly state: Directive.State
}

/** From the first event on, without end. */
export const watch = (directiveId: DirectiveId): Stream.Stream<Step, EventLogError, EventLog> =>
  Stream.unwrap(Effect.gen(function*() {
    const log = yield* EventLog
    const stream = Directive.streamOf(directiveId)
    // Asked before the past is read, so that nothing falls between the two; what comes twice has a version that is past.
    const head = yield* log.head
    return Stream.concat(log.read(stream), log.subscribe({ after: head })).pipe(steps(Directive.empty(stream)))
  }))

/** The directive as soon as nothing more happens to it by itself. */
export const settled = (directiveId: DirectiveId): Effect.Effect<Directive.State, EventLogError, EventLog> =>
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

const steps = (from: Directive.State) => <E>(events: Stream.Stream<RecordedEvent, E>): Stream.Stream<Step, E> =>
  events.pipe(
    Stream.filter((recorded): recorded is RecordedEvent<DirectiveEvent> => recorded.stream === from.stream),
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
