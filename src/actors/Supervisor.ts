/**
 * The rules of supervision: what becomes of an actor that failed. Pure; `SupervisorActor.ts` carries it out.
 *
 * One for one, as in OTP: an actor that fails comes back from the log after a growing delay, and at most so many times
 * in a period; then it is parked, which keeps it from burning the machine and leaves it visible, until somebody resumes
 * it. All of that is folded from events, so a process that starts anew goes on counting where it stopped. A store that
 * fails is no fault of the actor: it comes back for as long as that takes, and nobody has to resume all there are.
 *
 * An actor whose stream another process has taken over has not failed: it stays away until a message for it comes here,
 * and for a while even then, so that two processes that both get messages for it do not keep each other from everything.
 * Where it was this process itself, by a claim that the store carried out late, that is an outage like any other.
 */
import { HashMap, Option, Result, Schema } from "effect"
import type { SupervisorEvent } from "../events/SupervisorEvent.ts"

export interface Policy {
  /** Restarts within `periodMillis` before an actor is parked. */
  readonly restartsMax: number
  readonly periodMillis: number
  /** The longest wait before the first restart; it doubles with each in the period. Chance takes off up to half of it. */
  readonly restartDelayMillis: number
  readonly restartDelayMillisMax: number
  /** How long an actor that was taken over refuses messages: the other process has that long to get something done. */
  readonly awayMillis: number
}

export const defaultPolicy: Policy = {
  restartsMax: 5,
  periodMillis: 60_000,
  restartDelayMillis: 100,
  restartDelayMillisMax: 5_000,
  awayMillis: 1_000
}

export interface Failure {
  /** In milliseconds since 1970. */
  readonly at: number
  /** Whether it was the store's and not the actor's. */
  readonly outage: boolean
}

/** Since when an actor is down, in milliseconds since 1970, and why it failed the last time, as whoever asks may know. */
export const Parked = Schema.Struct({ since: Schema.Natural, cause: Schema.String })
export type Parked = typeof Parked.Type

export interface State {
  readonly policy: Policy
  /** How each actor failed of late, oldest first. Those without failures are not here. */
  readonly failures: HashMap.HashMap<string, ReadonlyArray<Failure>>
  /** When failures that are long past were last thrown away. */
  readonly sweptAt: number
  /** When each actor comes back that waits to be restarted. */
  readonly scheduled: HashMap.HashMap<string, number>
  readonly parked: HashMap.HashMap<string, Parked>
}

export const empty = (policy: Policy): State => ({
  policy,
  failures: HashMap.empty(),
  sweptAt: 0,
  scheduled: HashMap.empty(),
  parked: HashMap.empty()
})

export const Command = Schema.TaggedUnion({
  ReportStart: { address: Schema.String },
  ReportStop: { addresses: Schema.Array(Schema.String) },
  /** It had nothing to do for long, and comes back with the next message. */
  ReportPassivation: { address: Schema.String },
  /** Another process has claimed the actor's stream, in this epoch. */
  ReportTakeOver: { address: Schema.String, epoch: Schema.Natural },
  /**
   * `cause` is all that is known of it, and `reason` what may be told to whoever asks for the actor. `chance` is between 0 and
   * 1, so that those that fail together do not all come back together.
   */
  ReportFailure: {
    address: Schema.String,
    cause: Schema.String,
    reason: Schema.String,
    outage: Schema.Boolean,
    chance: Schema.Finite
  },
  /** Another process parked the actor, and this one is to run it now. */
  InheritPark: { address: Schema.String, ...Parked.fields },
  /** Lets a parked actor run again. */
  ResumeActor: { address: Schema.String },
  Wake: {}
})
export type Command = typeof Command.Type

/** What to do with the actor: start it again at a time, or leave it down, for good or until a time. */
export const Verdict = Schema.TaggedUnion({
  Restart: { at: Schema.Natural },
  Park: Parked.fields,
  StayAway: { until: Schema.Natural },
  Resume: {},
  Noted: {}
})
export type Verdict = typeof Verdict.Type

export interface Decision {
  readonly events: ReadonlyArray<SupervisorEvent>
  readonly state: State
  readonly answer: Verdict
}

const causeCharsMax = 4_000

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
      return settled(state, [{ _tag: "ActorTakenOver", address, epoch, until }], { _tag: "StayAway", until })
    }
    case "ReportFailure":
      return afterFailure(state, command, now)
    case "InheritPark": {
      const { address, cause, since } = command
      return settled(state, [{ _tag: "ActorParked", address, at: since, cause }], { _tag: "Park", since, cause })
    }
    case "ResumeActor": {
      const { address } = command
      if (!HashMap.has(state.parked, address)) return settled(state, [], { _tag: "Noted" })
      return settled(state, [{ _tag: "ActorResumed", address, at: now }], { _tag: "Resume" })
    }
    case "Wake":
      return settled(state, [], { _tag: "Noted" })
  }
}

const afterFailure = (
  state: State,
  { address, cause, chance, outage, reason }: Extract<Command, { _tag: "ReportFailure" }>,
  now: number
): Result.Result<Decision> => {
  const { restartDelayMillis, restartDelayMillisMax, restartsMax } = state.policy
  const failed: SupervisorEvent = {
    _tag: "ActorFailed",
    address,
    cause: cause.slice(0, causeCharsMax),
    at: now,
    ...(outage ? { outage } : {})
  }
  const recent = recentOf(state, address, now)
  if (!outage && recent.filter((failure) => !failure.outage).length >= restartsMax) {
    return settled(state, [failed, { _tag: "ActorParked", address, at: now, cause: reason }], {
      _tag: "Park",
      since: now,
      cause: reason
    })
  }
  const longest = Math.min(restartDelayMillisMax, restartDelayMillis * 2 ** recent.length)
  const at = now + Math.round(longest * (1 - chance / 2))
  return settled(state, [failed, { _tag: "ActorRestartScheduled", address, at }], { _tag: "Restart", at })
}

const settled = (
  state: State,
  events: ReadonlyArray<SupervisorEvent>,
  answer: Verdict
): Result.Result<Decision> => {
  return Result.succeed({ events, state: events.reduce(evolve, state), answer })
}

const recentOf = (state: State, address: string, now: number): ReadonlyArray<Failure> =>
  Option.getOrElse(HashMap.get(state.failures, address), () => []).filter(({ at }) =>
    at > now - state.policy.periodMillis
  )

export const evolve = (state: State, event: SupervisorEvent): State => {
  const { address } = event
  switch (event._tag) {
    case "ActorStarted":
    case "ActorTakenOver":
      return HashMap.has(state.scheduled, address)
        ? { ...state, scheduled: HashMap.remove(state.scheduled, address) }
        : state
    // It may come back at once, also in a process that starts anew, and is no better for that.
    case "ActorStopped":
      return state
    case "ActorFailed": {
      const failures = [...recentOf(state, address, event.at), { at: event.at, outage: event.outage === true }]
      return swept({ ...state, failures: HashMap.set(state.failures, address, failures) }, event.at)
    }
    case "ActorRestartScheduled":
      return { ...state, scheduled: HashMap.set(state.scheduled, address, event.at) }
    case "ActorParked":
      return { ...state, parked: HashMap.set(state.parked, address, { since: event.at, cause: event.cause }) }
    case "ActorResumed":
      return {
        ...state,
        failures: HashMap.remove(state.failures, address),
        parked: HashMap.remove(state.parked, address)
      }
  }
}

/** Once a period, so that a failure costs the same however many actors have failed. */
const swept = (state: State, now: number): State => {
  const { periodMillis } = state.policy
  if (now - state.sweptAt < periodMillis) return state
  const failures = HashMap.filter(state.failures, (all) => all.at(-1)!.at > now - periodMillis)
  return { ...state, failures, sweptAt: now }
}
