/**
 * The machinery of supervision: starts actors from the log, restarts those that fail, stops all in order.
 *
 * `Supervisor.ts` decides; its own events are the record of starts, stops and failures. The supervisor is an actor as
 * all others, with one difference: there is nobody above it, so it tries again by itself for as long as it lives.
 */
import { Cause, Clock, Context, DateTime, Effect, Exit, FiberMap, Layer, Schedule } from "effect"
import { EventLog, type StoredEvent } from "../events/EventLog.ts"
import type { SupervisorEvent } from "../events/SupervisorEvent.ts"
import { type Behaviour, run } from "./internal/loop.ts"
import { type ActorRef, ActorUnavailable, close, type Mailbox, make, refTo } from "./internal/mailbox.ts"
import * as Rules from "./Supervisor.ts"

/** The rules that the supervisor goes by. */
export const SupervisorPolicy = Context.Reference<Rules.Policy>("makima-runtime/actors/SupervisorPolicy", {
  defaultValue: () => Rules.defaultPolicy
})

/** What this process is called in the log. Two processes on one log need two names. */
export const NodeName = Context.Reference<string>("makima-runtime/actors/NodeName", { defaultValue: () => "local" })

export class Supervisor extends Context.Service<Supervisor, {
  /** The actor at an address, started from the log if it is not running. An address belongs to one behaviour. */
  actor<State, Command, Event extends StoredEvent, Answer, Rejection>(
    address: string,
    behaviour: Behaviour<State, Command, Event, Answer, Rejection>
  ): Effect.Effect<ActorRef<Command, Answer, Rejection>, ActorUnavailable>
  /** Stops an actor, if it runs. Whoever waits for an answer of it is told that it has stopped. */
  stop(address: string): Effect.Effect<void>
  /** The addresses of the actors that run, in the order in which they were started. */
  readonly running: Effect.Effect<ReadonlyArray<string>>
}>()("makima-runtime/actors/Supervisor") {
  static readonly layer = Layer.effect(
    Supervisor,
    Effect.gen(function*() {
      const log = yield* EventLog
      const policy = yield* SupervisorPolicy
      const parked = new Map<string, number>()
      const actors = new Map<string, unknown>()
      const own = yield* startOwn(`supervisor-${yield* NodeName}`, policy)
      // Last added, first run: the actors below stop before the supervisor records that they did.
      yield* Effect.addFinalizer(() =>
        own.ask({ _tag: "ReportStop", addresses: [...actors.keys()] }).pipe(
          Effect.timeout(stopMillisMax),
          Effect.catch((error) => Effect.logWarning("The stop of the actors could not be recorded", error))
        )
      )
      const fibers = yield* FiberMap.make<string>()

      const supervise = Effect.fnUntraced(function*<S, C, E extends StoredEvent, A, R>(
        address: string,
        behaviour: Behaviour<S, C, E, A, R>,
        mailbox: Mailbox<C, A, R>
      ) {
        yield* own.tell({ _tag: "ReportStart", address })
        while (true) {
          const exit = yield* Effect.exit(Effect.scoped(run(address, behaviour, mailbox)))
          if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
          yield* Effect.logError(`${address} failed`, exit.cause)
          const verdict = yield* verdictOn(own, address, exit.cause)
          if (verdict._tag === "Park") {
            parked.set(address, verdict.until)
            return yield* Effect.logError(`${address} failed too often and is parked`)
          }
          if (verdict._tag === "Restart") {
            yield* Effect.sleep(Math.max(0, verdict.at - (yield* Clock.currentTimeMillis)))
          }
        }
      })

      const actor = Effect.fnUntraced(function*<S, C, E extends StoredEvent, A, R>(
        address: string,
        behaviour: Behaviour<S, C, E, A, R>
      ) {
        // An address belongs to one behaviour, so what is kept under it is of that behaviour's types.
        const known = actors.get(address) as ActorRef<C, A, R> | undefined
        if (known !== undefined) return known
        const until = parked.get(address)
        if (until !== undefined && until > (yield* Clock.currentTimeMillis)) {
          return yield* new ActorUnavailable({
            address,
            because: `it failed too often and is parked until ${DateTime.formatIso(DateTime.makeUnsafe(until))}`
          })
        }
        parked.delete(address)
        const mailbox = yield* make<C, A, R>()
        const ref = refTo(address, mailbox)
        actors.set(address, ref)
        yield* supervise(address, behaviour, mailbox).pipe(
          Effect.provideService(EventLog, log),
          Effect.onExit(() => {
            if (!parked.has(address)) return close(address, mailbox, "it has stopped")
            // The next message after its time starts it again.
            actors.delete(address)
            return close(address, mailbox, "it failed too often and is parked")
          }),
          FiberMap.run(fibers, address, { startImmediately: true })
        )
        return ref
      })

      const stop = Effect.fnUntraced(function*(address: string) {
        if (!actors.delete(address)) return
        yield* FiberMap.remove(fibers, address)
        yield* own.tell({ _tag: "ReportStop", addresses: [address] })
      })

      return Supervisor.of({ actor, stop, running: Effect.sync(() => [...actors.keys()]) })
    })
  )
}

/** How long a stop waits for the log, in milliseconds. */
const stopMillisMax = 2_000

type Own = ActorRef<Rules.Command, Rules.Verdict, never>

/** The supervisor's own actor. Nobody is above it, so it comes back for as long as its scope is open. */
const startOwn = Effect.fnUntraced(function*(address: string, policy: Rules.Policy) {
  const mailbox = yield* make<Rules.Command, Rules.Verdict, never>()
  const behaviour: Behaviour<Rules.State, Rules.Command, SupervisorEvent, Rules.Verdict, never> = {
    empty: () => Rules.empty(policy),
    evolve: Rules.evolve,
    decide: Rules.decide,
    wake: { _tag: "Wake" },
    dueAt: () => undefined,
    recovered: () => Effect.void,
    react: () => Effect.void
  }
  yield* Effect.scoped(run(address, behaviour, mailbox)).pipe(
    Effect.tapCause((cause) => Effect.logError(`${address} failed and comes back`, cause)),
    Effect.retry(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])),
    Effect.ensuring(close(address, mailbox, "it has stopped")),
    Effect.forkScoped
  )
  return refTo(address, mailbox)
})

/** What to do with an actor that failed. While its failure cannot be recorded, it is asked again. */
const verdictOn = (own: Own, address: string, cause: Cause.Cause<unknown>): Effect.Effect<Rules.Verdict> =>
  own.ask({ _tag: "ReportFailure", address, cause: Cause.pretty(cause) }).pipe(
    Effect.map(({ answer }) => answer),
    Effect.retry(Schedule.spaced("1 second")),
    Effect.orDie
  )
