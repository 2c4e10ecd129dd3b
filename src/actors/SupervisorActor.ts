/**
 * The machinery of supervision: starts actors from the log, restarts those that fail, stops all in order.
 *
 * `Supervisor.ts` decides; its own events are the record of starts, stops and failures. The supervisor is an actor as
 * all others, with one difference: there is nobody above it, so it tries again by itself for as long as it lives.
 */
import { Cause, Clock, Context, DateTime, Deferred, Effect, FiberMap, Layer, Option, Schedule } from "effect"
import { EventLog, type StoredEvent, StreamFenced } from "../events/EventLog.ts"
import { Snapshots } from "../events/Snapshots.ts"
import type { SupervisorEvent } from "../events/SupervisorEvent.ts"
import { SnapshotEvents } from "./internal/keeper.ts"
import { type Behaviour, NodeName, run } from "./internal/loop.ts"
import { type ActorRef, ActorUnavailable, close, type Mailbox, make, refTo, unavailable } from "./internal/mailbox.ts"
import { PassivationMillis } from "./internal/rest.ts"
import * as Rules from "./Supervisor.ts"

/** The rules that the supervisor goes by. */
export const SupervisorPolicy = Context.Reference<Rules.Policy>("makima-runtime/actors/SupervisorPolicy", {
  defaultValue: () => Rules.defaultPolicy
})

export { NodeName } from "./internal/loop.ts"

export { PassivationMillis, SnapshotEvents }

export class Supervisor extends Context.Service<Supervisor, {
  /** The actor at an address, started from the log if it is not running. An address belongs to one behaviour. */
  actor<State, Command extends { readonly _tag: string }, Event extends StoredEvent, Answer, Rejection>(
    address: string,
    behaviour: Behaviour<State, Command, Event, Answer, Rejection>
  ): Effect.Effect<ActorRef<Command, Answer, Rejection>, ActorUnavailable>
  /** Stops an actor, if it runs. Whoever waits for an answer of it is told that it has stopped. */
  stop(address: string): Effect.Effect<void>
  /**
   * Whether another process has taken the actor over since it last ran here. It stays away until `actor` is called,
   * which takes it back: who does that without a message for it starts a fight between the two.
   */
  isElsewhere(address: string): boolean
  /** The addresses of the actors that run, in the order in which they were started. */
  readonly running: Effect.Effect<ReadonlyArray<string>>
}>()("makima-runtime/actors/Supervisor") {
  static readonly layer = Layer.effect(
    Supervisor,
    Effect.gen(function*() {
      const log = yield* EventLog
      const policy = yield* SupervisorPolicy
      const snapshots = yield* Snapshots
      const snapshotEvents = yield* SnapshotEvents
      const passivationMillis = yield* PassivationMillis
      const node = yield* NodeName
      const down = new Map<string, { readonly until: number; readonly why: string; readonly elsewhere: boolean }>()
      const actors = new Map<string, unknown>()
      const scope = yield* Effect.scope
      const own = yield* startOwn(`supervisor-${node}`, policy)
      /** What there is to record waits until the log takes it, and nobody waits for that. */
      const record = (command: Rules.Command) =>
        own.ask(command).pipe(
          Effect.retry(untilTheLogWorks),
          Effect.ignore,
          Effect.forkIn(scope, { startImmediately: true })
        )
      let stopped: ReadonlyArray<string> | undefined
      // Last added, first run: the actors below stop before the supervisor records that they did.
      yield* Effect.addFinalizer(() =>
        own.ask({ _tag: "ReportStop", addresses: stopped ?? [] }).pipe(
          Effect.timeout(stopMillisMax),
          Effect.catch((error) => Effect.logWarning("The stop of the actors could not be recorded", error))
        )
      )
      const fibers = yield* FiberMap.make<string>()
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => {
          stopped = [...actors.keys()].toReversed()
          return Effect.forEach(stopped, (address) => FiberMap.remove(fibers, address), { discard: true })
        })
      )

      const supervise = Effect.fnUntraced(function*<S, C extends Tagged, E extends StoredEvent, A, R>(
        address: string,
        behaviour: Behaviour<S, C, E, A, R>,
        mailbox: Mailbox<C, A, R>
      ) {
        yield* record({ _tag: "ReportStart", address })
        while (true) {
          const exit = yield* Effect.exit(Effect.scoped(run(address, behaviour, mailbox)))
          if (exit._tag === "Success") {
            yield* record({ _tag: "ReportPassivation", address })
            return { isPassivated: true }
          }
          const { cause } = exit
          const fenced = fencedBy(cause)
          yield* fenced === undefined ? Effect.logError(`${address} failed`, cause) : Effect.logWarning(fenced.message)
          const verdict = yield* verdictOn(
            own,
            fenced === undefined
              ? { _tag: "ReportFailure", address, cause: Cause.pretty(cause) }
              : { _tag: "ReportTakeOver", address, epoch: fenced.current }
          )
          if (verdict._tag === "Park") {
            const why = fenced === undefined
              ? "it failed too often and is parked"
              : "another process has taken over its stream, and this one leaves it alone"
            down.set(address, { until: verdict.until, why, elsewhere: fenced !== undefined })
            yield* Effect.logError(`${address} is down: ${why}`)
            return { isPassivated: false }
          }
          if (verdict._tag === "Restart") {
            yield* Effect.sleep(Math.max(0, verdict.at - (yield* Clock.currentTimeMillis)))
          }
        }
      })

      const actor = Effect.fnUntraced(function*<S, C extends Tagged, E extends StoredEvent, A, R>(
        address: string,
        behaviour: Behaviour<S, C, E, A, R>
      ): Effect.fn.Return<ActorRef<C, A, R>, ActorUnavailable> {
        if (stopped !== undefined) return yield* new ActorUnavailable({ address, because: "everything is stopping" })
        // An address belongs to one behaviour, so what is kept under it is of that behaviour's types.
        const known = actors.get(address) as ActorRef<C, A, R> | undefined
        if (known !== undefined) return known
        const { until, why } = down.get(address) ?? { until: 0, why: "" }
        if (until > (yield* Clock.currentTimeMillis)) {
          return yield* new ActorUnavailable({
            address,
            because: `${why} until ${DateTime.formatIso(DateTime.makeUnsafe(until))}`
          })
        }
        down.delete(address)
        const mailbox = yield* make<C, A, R>()
        const end = yield* Deferred.make<{ readonly isPassivated: boolean }>()
        // What comes too late for an actor that is being passivated starts it again, once the old one is gone.
        const successor = Effect.flatMap(
          Deferred.await(end),
          ({ isPassivated }) => isPassivated ? actor(address, behaviour) : unavailable(address)
        )
        const ref = refTo(address, mailbox, successor)
        actors.set(address, ref)
        yield* supervise(address, behaviour, mailbox).pipe(
          Effect.provideService(EventLog, log),
          Effect.provideService(Snapshots, snapshots),
          Effect.provideService(SnapshotEvents, snapshotEvents),
          Effect.provideService(PassivationMillis, passivationMillis),
          Effect.provideService(NodeName, node),
          Effect.onExit((exit) => {
            // The next message starts it again, unless it is down until later.
            if (actors.get(address) === ref) actors.delete(address)
            return Effect.andThen(
              close(address, mailbox, down.get(address)?.why ?? "it has stopped"),
              Deferred.succeed(end, exit._tag === "Success" ? exit.value : { isPassivated: false })
            )
          }),
          FiberMap.run(fibers, address, { startImmediately: true })
        )
        return ref
      })

      const stop = Effect.fnUntraced(function*(address: string) {
        if (!actors.delete(address)) return
        yield* FiberMap.remove(fibers, address)
        yield* record({ _tag: "ReportStop", addresses: [address] })
      })

      const isElsewhere = (address: string) => down.get(address)?.elsewhere === true
      return Supervisor.of({ actor, stop, isElsewhere, running: Effect.sync(() => [...actors.keys()]) })
    })
  )
}

/** How long a stop waits for the log, in milliseconds. */
const stopMillisMax = 2_000

type Tagged = { readonly _tag: string }
type Own = ActorRef<Rules.Command, Rules.Verdict, never>

const fencedBy = (cause: Cause.Cause<unknown>): StreamFenced | undefined =>
  Option.getOrUndefined(
    Option.filter(Cause.findErrorOption(cause), (error): error is StreamFenced => error instanceof StreamFenced)
  )

const untilTheLogWorks = Schedule.spaced("1 second")

/** The supervisor's own actor. Nobody is above it, so it comes back for as long as its scope is open. */
const startOwn = Effect.fnUntraced(function*(address: string, policy: Rules.Policy) {
  const mailbox = yield* make<Rules.Command, Rules.Verdict, never>()
  const behaviour: Behaviour<Rules.State, Rules.Command, SupervisorEvent, Rules.Verdict, never> = {
    empty: () => Rules.empty(policy),
    evolve: Rules.evolve,
    decide: Rules.decide,
    wake: { _tag: "Wake" },
    dueAt: () => undefined,
    recovered: () => [],
    react: () => Effect.void
  }
  yield* Effect.scoped(run(address, behaviour, mailbox)).pipe(
    Effect.sandbox,
    Effect.tapCause((cause) => Effect.logError(`${address} failed and comes back`, cause)),
    Effect.retry(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])),
    Effect.ensuring(close(address, mailbox, "it has stopped")),
    Effect.forkScoped
  )
  return refTo(address, mailbox)
})

/** What to do with an actor that has ended. While that cannot be recorded, it is asked again. */
const verdictOn = (own: Own, report: Rules.Command): Effect.Effect<Rules.Verdict> =>
  own.ask(report).pipe(
    Effect.map(({ answer }) => answer),
    Effect.retry(untilTheLogWorks),
    Effect.orDie
  )
