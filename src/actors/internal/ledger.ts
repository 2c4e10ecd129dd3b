/**
 * The supervisor's own actor: it records what becomes of actors, and knows what was recorded before this process started.
 *
 * Nobody is above it, so it comes back by itself for as long as its scope is open.
 */
import { Deferred, Effect, Schedule, type Scope } from "effect"
import { EventLog } from "../../events/EventLog.ts"
import type { SupervisorEvent } from "../../events/SupervisorEvent.ts"
import * as Supervision from "../Supervision.ts"
import * as Rules from "../Supervisor.ts"
import { codecFor } from "../SupervisorSnapshot.ts"
import { type Behaviour, run } from "./loop.ts"
import { type About, type ActorUnavailable, close, make, refTo } from "./mailbox.ts"

export interface Ledger {
  /** Waits until it is known what was recorded before, or everything stops. */
  readonly known: Effect.Effect<void>
  readonly parked: (address: string) => Rules.Parked | undefined
  /** Waits until an actor is not parked any more, if it is. */
  readonly awaitResumed: (address: string) => Effect.Effect<void>
  /** Whoever waits for this goes on, now that all is known of it that lets the actor run again. */
  readonly resumed: (address: string) => void
  /** When actors come back that waited to be restarted when this process started. Whoever starts one takes it out. */
  readonly scheduled: Map<string, number>
  /** Whether nobody has claimed an actor's stream since this process did. Tries for as long as the log does not work. */
  readonly isOwn: (address: string) => Effect.Effect<boolean>
  /** Starts those of them that begin with `prefix` and whose streams nobody has claimed since. */
  readonly restartScheduled: (
    prefix: string,
    start: (address: string) => Effect.Effect<unknown, ActorUnavailable>
  ) => Effect.Effect<void>
  /** Tries once. */
  readonly ask: (command: Rules.Command, about?: About) => Effect.Effect<Rules.Verdict, ActorUnavailable>
  /** Tries for as long as the log does not work. */
  readonly record: (command: Rules.Command) => Effect.Effect<Rules.Verdict>
}

const untilTheLogWorks = Schedule.spaced("1 second")

export const open = Effect.fnUntraced(function*(
  node: string,
  policy: Rules.Policy
): Effect.fn.Return<Ledger, never, EventLog | Scope.Scope> {
  const log = yield* EventLog
  const name = `supervisor-${node}`
  const mailbox = yield* make<Rules.Command, Rules.Verdict, never>()
  const known = yield* Deferred.make<void>()
  const parked = new Map<string, Rules.Parked>()
  const scheduled = new Map<string, number>()
  const resumptions = new Map<string, Deferred.Deferred<void>>()

  const resumed = (address: string) => {
    const waiting = resumptions.get(address)
    if (waiting === undefined || parked.has(address)) return
    resumptions.delete(address)
    Deferred.doneUnsafe(waiting, Effect.void)
  }

  const behaviour = (
    before: Rules.State
  ): Behaviour<Rules.State, Rules.Command, SupervisorEvent, Rules.Verdict, never> => ({
    empty: () => before,
    evolve: Rules.evolve,
    decide: Rules.decide,
    wake: { _tag: "Wake" },
    dueAt: () => undefined,
    recovered: (state) => {
      parked.clear()
      for (const [address, since] of state.parked) parked.set(address, since)
      // A resumption whose answer was lost is one all the same.
      for (const address of resumptions.keys()) resumed(address)
      // Later on it is this process that sees to restarts.
      if (!Deferred.isDoneUnsafe(known)) { for (const [address, at] of state.scheduled) scheduled.set(address, at) }
      Deferred.doneUnsafe(known, Effect.void)
      return []
    },
    react: () => Effect.void,
    snapshots: codecFor(policy)
  })

  let number = 1
  const life = Effect.gen(function*() {
    const found = yield* Supervision.find(log, node, policy, number)
    yield* Effect.scoped(run(found.stream, behaviour(found.before), mailbox)).pipe(
      // What it says is logged where the next stream takes over from this one.
      Effect.catchTag("UnreadableEvent", () =>
        Effect.sync(() => {
          number = found.number + 1
        }))
    )
  })
  yield* Effect.forever(life).pipe(
    Effect.sandbox,
    Effect.tapError((cause) => Effect.logError(`${name} failed and comes back`, cause)),
    Effect.retry(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])),
    Effect.ensuring(Effect.andThen(close(name, mailbox, "it has stopped"), Deferred.succeed(known, undefined))),
    Effect.forkScoped
  )

  const own = refTo(name, mailbox)
  const ask = (command: Rules.Command, about?: About) =>
    Effect.map(own.ask(command, about), ({ answer }) => {
      // Before anybody can ask for the actor again.
      if (answer._tag === "Park" && "address" in command) {
        parked.set(command.address, { since: answer.since, cause: answer.cause })
      }
      if (command._tag === "ResumeActor") parked.delete(command.address)
      return answer
    })
  const isOwn = (address: string) =>
    log.streamHead(address).pipe(
      Effect.map(({ owner }) => owner === node),
      Effect.tapError((error) => Effect.logWarning(`${address} cannot be restarted yet`, error)),
      Effect.retry(untilTheLogWorks),
      Effect.orDie
    )
  const restartScheduled = Effect.fnUntraced(function*(
    prefix: string,
    start: (address: string) => Effect.Effect<unknown, ActorUnavailable>
  ) {
    yield* Deferred.await(known)
    for (const address of Array.from(scheduled.keys()).filter((address) => address.startsWith(prefix))) {
      if (!(yield* isOwn(address))) scheduled.delete(address)
      else yield* start(address).pipe(Effect.catch((error) => Effect.logError(error.message)))
    }
  })
  return {
    isOwn,
    restartScheduled,
    known: Deferred.await(known),
    parked: (address) => parked.get(address),
    resumed,
    awaitResumed: (address) =>
      Effect.suspend(() => {
        if (!parked.has(address)) return Effect.void
        const waiting = resumptions.get(address) ?? Deferred.makeUnsafe<void>()
        resumptions.set(address, waiting)
        return Deferred.await(waiting)
      }),
    scheduled,
    ask,
    record: (command) => ask(command).pipe(Effect.retry(untilTheLogWorks), Effect.orDie)
  }
})
