/**
 * Where supervisors write what they record, and what their streams say of an actor.
 *
 * That is `supervisor-<node>`, and, once an event there cannot be read, `supervisor-<node>~2`, and so on: a supervisor
 * goes on from what can be read of the streams before, and nothing is lost for code that can read more of them.
 */
import { Effect, Option, Stream } from "effect"
import type { EventLog, EventLogError, RecordedEvent } from "../events/EventLog.ts"
import type { SupervisorEvent } from "../events/SupervisorEvent.ts"
import { recover } from "./internal/recovery.ts"
import * as Rules from "./Supervisor.ts"
import { codecFor } from "./SupervisorSnapshot.ts"

export const streamOf = (node: string, number: number): string =>
  number === 1 ? `supervisor-${node}` : `supervisor-${node}~${number}`

export interface Found {
  readonly stream: string
  readonly number: number
  /** What the streams before it come to. */
  readonly before: Rules.State
}

/** The stream that a supervisor goes on with: the last there is, or the one with this number where that is later. */
export const find = Effect.fnUntraced(function*(
  log: EventLog["Service"],
  node: string,
  policy: Rules.Policy,
  atLeast: number
): Effect.fn.Return<Found, EventLogError> {
  let before = Rules.empty(policy)
  let number = 1
  while (number < atLeast || (yield* hasEvents(log, streamOf(node, number + 1)))) {
    before = yield* goOn(log, streamOf(node, number), before)
    number += 1
  }
  return { before, number, stream: streamOf(node, number) }
})

/** All that a supervisor has recorded. */
export const stateOf = Effect.fnUntraced(function*(
  log: EventLog["Service"],
  node: string,
  policy: Rules.Policy
): Effect.fn.Return<Rules.State, EventLogError> {
  const { before, stream } = yield* find(log, node, policy, 1)
  const fold = { empty: () => before, evolve: Rules.evolve, snapshots: codecFor(policy) }
  return yield* recover<Rules.State, SupervisorEvent>(log, stream, fold).pipe(
    Effect.map(({ state }) => state),
    Effect.catchTag("UnreadableEvent", () => goOn(log, stream, before))
  )
})

const hasEvents = (log: EventLog["Service"], stream: string) =>
  Effect.map(log.streamHead(stream), ({ version }) => version > 0)

const goOn = Effect.fnUntraced(function*(log: EventLog["Service"], stream: string, from: Rules.State) {
  let state = from
  yield* Stream.runForEach(log.read(stream), (recorded) =>
    Effect.sync(() => {
      state = Rules.evolve(state, eventOf(recorded))
    })).pipe(
      Effect.catchTag(
        "UnreadableEvent",
        (error) => Effect.logError(`${error.message}; what ${stream} has from there on is not known to its supervisor`)
      )
    )
  return state
})

/**
 * What the log says about an actor that is parked. The supervisor to ask is that of the process which has the actor's
 * stream: it was the last to run it.
 */
export const parked = Effect.fnUntraced(function*(
  log: EventLog["Service"],
  address: string
): Effect.fn.Return<Option.Option<Rules.Parked>, EventLogError> {
  const { owner } = yield* log.streamHead(address)
  if (owner === undefined) return Option.none()
  let number = 1
  while (yield* hasEvents(log, streamOf(owner, number + 1))) number += 1
  for (; number > 0; number -= 1) {
    // What cannot be read says nothing here: the process that has it has said so.
    const last = yield* log.read(streamOf(owner, number), { direction: "backward" }).pipe(
      Stream.map(eventOf),
      Stream.filter((event) => event.address === address),
      Stream.runHead,
      Effect.catchTag("UnreadableEvent", () => Effect.succeedNone)
    )
    if (Option.isNone(last)) continue
    const { value } = last
    return value._tag === "ActorParked" ? Option.some({ since: value.at, cause: value.cause }) : Option.none()
  }
  return Option.none()
})

/** The stream of a supervisor has the events of supervisors. */
const eventOf = ({ event }: RecordedEvent): SupervisorEvent => event as SupervisorEvent
