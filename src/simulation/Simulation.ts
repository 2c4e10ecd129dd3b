/**
 * A run of the whole runtime in virtual time: from its seed, always the same. `run` does one and says how it went.
 */
import type { Agent } from "./Agent.ts"
import type { Checks } from "./internal/checks.ts"
import type { Happening } from "./internal/faults.ts"
import { epoch } from "./internal/fibers.ts"
import { problemOf } from "./internal/given.ts"
import * as Guard from "./internal/guard.ts"
import { World } from "./internal/world.ts"
import { type Checker, type Invariant, type Observed, type RecordedEvent, Violation } from "./Invariant.ts"
import { invariants as all } from "./invariants/all.ts"
import { type Profile, type ProfileName, profiles } from "./Profile.ts"
import type { MakeDirective, Operation } from "./Users.ts"

export interface Options {
  /** A whole number: the same one gives the same run. */
  readonly seed: number
  readonly profile?: ProfileName | Profile
  /** Keys of all that may happen; without this, everything that the seed has. */
  readonly only?: ReadonlySet<string>
  /** What agents do, as far as the profile does not say it. */
  readonly agent?: Agent
  /** What directives there are, instead of some that are made up. How many is in the profile. */
  readonly directive?: MakeDirective
  /** What people do, beside what the profile says. */
  readonly operations?: ReadonlyArray<Operation>
  /** Held beside those that always hold. */
  readonly invariants?: ReadonlyArray<Invariant>
}

/** How a run went. */
export interface Outcome {
  readonly seed: number
  readonly profile: string
  /** What did not hold, if anything. */
  readonly violation: Violation | undefined
  readonly events: ReadonlyArray<RecordedEvent>
  /** What users did and what went wrong, in order. */
  readonly happened: ReadonlyArray<Happening>
  readonly notes: ReadonlyArray<{ readonly at: number; readonly text: string }>
  /** For how long it went on, in virtual milliseconds. */
  readonly millis: number
}

/** How long everything may take to settle once nothing goes wrong any more, in virtual minutes. */
const settleMinutesDefault = 60
/** How long nothing more may happen then. */
const quietMillis = 60_000
const tickMillis = 5_000

/** Throws a `RangeError` for options that make no sense, and for nothing else. */
export const run = (options: Options): Outcome => {
  const problem = problemOf(options)
  if (problem !== undefined) throw new RangeError(problem)
  const profile = typeof options.profile === "object" ? options.profile : profiles[options.profile ?? "rough"]
  let violation: Violation | undefined
  const world = Guard.guarded(() => {
    const world = new World({
      seed: options.seed,
      profile,
      only: options.only,
      agent: options.agent,
      directive: options.directive,
      operations: options.operations ?? [],
      checks: (world) => checksOf(world, [...all, ...options.invariants ?? []])
    })
    try {
      play(world)
    } catch (error) {
      violation = error instanceof Violation ? error : defect(error, world)
    }
    return world
  })
  return {
    seed: options.seed,
    profile: profile.name,
    violation,
    events: world.store.events,
    happened: world.faults.happened,
    notes: world.faults.notes,
    millis: world.time.now
  }
}

const defect = (error: unknown, world: World): Violation =>
  new Violation(
    { name: "the simulation itself", says: "The simulated code neither throws nor reaches for the real world." },
    "a run that comes to its end",
    error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error),
    world.time.now
  )

const play = (world: World): void => {
  const { checks, profile, time } = world
  const tick = () => {
    checks.onTick()
    time.after(tickMillis, tick)
  }
  time.after(tickMillis, tick)
  time.run(profile.minutes * 60_000, () => false)
  world.calm()
  const calmSince = time.now
  time.run(calmSince + (profile.settleMinutes ?? settleMinutesDefault) * 60_000, () => checks.isSettled())
  const events = world.store.events.length
  if (checks.isSettled()) time.run(time.now + quietMillis, () => world.store.events.length > events)
  checks.onEnd()
}

const checksOf = (world: World, invariants: ReadonlyArray<Invariant>): Checks => {
  const observed = (invariant: Invariant): Observed => ({
    profile: world.profile,
    ledger: world.ledger,
    daemons: () => world.daemons,
    homeOf: (ownerId) => world.leases?.homes.get(ownerId),
    claimantOf: (stream) => world.store.claimantOf(stream),
    isUp: (node) => world.cluster.isUp(node) && !world.way.isClosed(),
    assigned: () => world.cluster.machines.flatMap((machine) => machine.assigned(world.daemons)),
    events: world.store.events,
    seen: () => world.seen,
    isSettled: () => world.isSettled(),
    now: () => world.time.now,
    clock: () => epoch + world.time.now + world.clockAhead,
    calmSince: () => world.calmSince,
    violated: (expected, found) => {
      throw new Violation(invariant, expected, found, world.time.now)
    }
  })
  const checkers: ReadonlyArray<Checker> = invariants.map((invariant) => invariant.make(observed(invariant)))
  const those = <K extends keyof Checker>(name: K) =>
    checkers.flatMap((checker) => checker[name] === undefined ? [] : [checker[name]])
  const [event, committed, snapshot] = [those("event"), those("committed"), those("snapshot")]
  const [request, response, frame, start] = [those("request"), those("response"), those("frame"), those("start")]
  const [lost, ticks, end] = [those("lost"), those("tick"), those("end")]
  let failure: unknown
  /** Whoever calls may be a fiber that would take the exception for its own: it is thrown again where the run is made. */
  const each = (run: () => void) => {
    if (failure !== undefined) return
    try {
      run()
    } catch (error) {
      failure = error
      world.time.stop(error)
    }
  }
  return {
    onCommit: (events, node) =>
      each(() => {
        for (const recorded of events) {
          world.ledger.take(recorded)
          for (const check of event) check(recorded)
        }
        for (const check of committed) check(events, node)
      }),
    onSnapshot: (one) => each(() => snapshot.forEach((check) => check(one))),
    onRequest: (one) => each(() => request.forEach((check) => check(one))),
    onResponse: (one, answer) => each(() => response.forEach((check) => check(one, answer))),
    onFrame: (daemon, one, node) => each(() => frame.forEach((check) => check(daemon, one, node))),
    onStart: (daemon, spawn) => each(() => start.forEach((check) => check(daemon, spawn))),
    onLost: (node, stoodStillMillis) => each(() => lost.forEach((check) => check(node, stoodStillMillis))),
    onTick: () => each(() => ticks.forEach((check) => check())),
    onEnd: () => {
      for (const check of end) check()
    },
    isSettled: () => world.isSettled()
  }
}
