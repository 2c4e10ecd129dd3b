/**
 * The rules of supervision: what becomes of an actor that failed. Pure; `SupervisorActor.ts` carries it out.
 *
 * One for one, as in OTP: an actor that fails comes back from the log after a growing delay, and at most so many times
 * in a period; then it is parked, which keeps it from burning the machine and leaves it visible. An actor whose stream
 * another process has taken over has not failed: it stays away until a message for it comes here, and for a while even
 * then, so that two processes that both get messages for it do not keep each other from everything.
 */
import { Result, Schema } from "effect"
import type { SupervisorEvent } from "../events/SupervisorEvent.ts"

export interface Policy {
  /** Restarts within `periodMillis` before an actor is parked. */
  readonly restartsMax: number
  readonly periodMillis: number
  /** The wait before the first restart; it doubles with each in the period. */
  readonly restartDelayMillis: number
  readonly restartDelayMillisMax: number
  /** How long a parked actor refuses messages. */
  readonly parkMillis: number
  /** How long an actor that was taken over refuses messages: the other process has that long to get something done. */
  readonly awayMillis: number
}

export const defaultPolicy: Policy = {
  restartsMax: 5,
  periodMillis: 60_000,
  restartDelayMillis: 100,
  restartDelayMillisMax: 5_000,
  parkMillis: 60_000,
  awayMillis: 1_000
}

export interface State {
  readonly policy: Policy
  /** When each actor failed of late, in milliseconds since 1970. Those without failures are not here. */
  readonly failures: ReadonlyMap<string, ReadonlyArray<number>>
  /** Until when each parked actor refuses messages. */
  readonly parked: ReadonlyMap<string, number>
}

export const empty = (policy: Policy): State => ({ policy, failures: new Map(), parked: new Map() })

export const Command = Schema.TaggedUnion({
  ReportStart: { address: Schema.String },
  ReportStop: { addresses: Schema.Array(Schema.String) },
  /** It had nothing to do for long, and comes back with the next message. */
  ReportPassivation: { address: Schema.String },
  /** Another process has claimed the actor's stream, in this epoch. */
  ReportTakeOver: { address: Schema.String, epoch: Schema.Natural },
  ReportFailure: { address: Schema.String, cause: Schema.String },
  Wake: {}
})
export type Command = typeof Command.Type

/** What to do with the actor: start it again at a time, or leave it down until a time. */
export const Verdict = Schema.TaggedUnion({
  Restart: { at: Schema.Natural },
  Park: { until: Schema.Natural },
  Noted: {}
})
export type Verdict = typeof Verdict.Type

export interface Decision {
  readonly events: ReadonlyArray<SupervisorEvent>
  readonly state: State
  readonly answer: Verdict
}

const causeLengthMax = 4_000

export const decide = (state: State, command: Command, now: number): Result.Result<Decision> => {
  switch (command._tag) {
    case "ReportStart":
      return settled(state, [{ _tag: "ActorStarted", address: command.address }], { _tag: "Noted" })
    case "ReportStop":
      return settled(
        state,
        command.addresses.map((address) => ({ _tag: "ActorStopped", address })),
        { _tag: "Noted" }
      )
    case "ReportPassivation":
      return settled(state, [{ _tag: "ActorStopped", address: command.address, reason: "passivated" }], {
        _tag: "Noted"
      })
    case "ReportTakeOver": {
      const { address, epoch } = command
      const until = now + state.policy.awayMillis
      return settled(state, [{ _tag: "ActorTakenOver", address, epoch, until }], { _tag: "Park", until })
    }
    case "ReportFailure": {
      const { address } = command
      const failed: SupervisorEvent = {
        _tag: "ActorFailed",
        address,
        cause: command.cause.slice(0, causeLengthMax),
        at: now
      }
      const { parkMillis, periodMillis, restartDelayMillis, restartDelayMillisMax, restartsMax } = state.policy
      const recent = (state.failures.get(address) ?? []).filter((at) => at > now - periodMillis).length
      if (recent >= restartsMax) {
        const until = now + parkMillis
        return settled(state, [failed, { _tag: "ActorParked", address, until }], { _tag: "Park", until })
      }
      const at = now + Math.min(restartDelayMillisMax, restartDelayMillis * 2 ** recent)
      return settled(state, [failed, { _tag: "ActorRestartScheduled", address, at }], { _tag: "Restart", at })
    }
    case "Wake":
      return settled(state, [], { _tag: "Noted" })
  }
}

const settled = (
  state: State,
  events: ReadonlyArray<SupervisorEvent>,
  answer: Verdict
): Result.Result<Decision> => {
  return Result.succeed({ events, state: events.reduce(evolve, state), answer })
}

export const evolve = (state: State, event: SupervisorEvent): State => {
  switch (event._tag) {
    case "ActorStarted":
    case "ActorRestartScheduled": {
      if (!state.parked.has(event.address)) return state
      return { ...state, parked: without(state.parked, event.address) }
    }
    case "ActorStopped":
    case "ActorTakenOver":
      return {
        ...state,
        failures: without(state.failures, event.address),
        parked: without(state.parked, event.address)
      }
    case "ActorFailed": {
      const recent = (state.failures.get(event.address) ?? []).filter((at) => at > event.at - state.policy.periodMillis)
      return { ...state, failures: new Map(state.failures).set(event.address, [...recent, event.at]) }
    }
    case "ActorParked":
      return { ...state, parked: new Map(state.parked).set(event.address, event.until) }
  }
}

const without = <V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> => {
  if (!map.has(key)) return map
  const copy = new Map(map)
  copy.delete(key)
  return copy
}
