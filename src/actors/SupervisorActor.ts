/**
 * The machinery of supervision: starts actors from the log, restarts those that fail, stops all in order.
 *
 * `Supervisor.ts` decides; its own events (`internal/ledger.ts`) are the record of starts, stops and failures, from
 * which a process that starts anew knows what was parked and what was to be restarted.
 */
import { Cause, Clock, Context, DateTime, Deferred, Effect, Fiber, FiberMap, Layer, Option, Random } from "effect"
import { EventLog, EventLogError, type StoredEvent, StreamFenced } from "../events/EventLog.ts"
import { Snapshots } from "../events/Snapshots.ts"
import * as Inheritance from "./internal/inheritance.ts"
import { SnapshotEvents } from "./internal/keeper.ts"
import * as Ledger from "./internal/ledger.ts"
import { type Behaviour, NodeName, run } from "./internal/loop.ts"
import {
  type About,
  type ActorRef,
  ActorUnavailable,
  close,
  type Mailbox,
  make,
  refTo,
  unavailable
} from "./internal/mailbox.ts"
import { reasonIn } from "./internal/reason.ts"
import { PassivationMillis } from "./internal/rest.ts"
import { Leases } from "./Leases.ts"
import * as Rules from "./Supervisor.ts"

/** The rules that the supervisor goes by. */
export const SupervisorPolicy = Context.Reference<Rules.Policy>("makima-runtime/actors/SupervisorPolicy", {
  defaultValue: () => Rules.defaultPolicy
})

export { NodeName } from "./internal/loop.ts"

export { PassivationMillis, SnapshotEvents }

export class Supervisor extends Context.Service<Supervisor, {
  /**
   * The actor at an address, started from the log if it is not running. One that is parked is refused, with the reason.
   * An address belongs to one behaviour.
   */
  actor<State, Command extends { readonly _tag: string }, Event extends StoredEvent, Answer, Rejection>(
    address: string,
    behaviour: Behaviour<State, Command, Event, Answer, Rejection>
  ): Effect.Effect<ActorRef<Command, Answer, Rejection>, ActorUnavailable>
  /** Stops an actor, if it runs. Whoever waits for an answer of it is told that it has stopped. */
  stop(address: string): Effect.Effect<void>
  /**
   * Whether another process has taken the actor over since it last ran here. It stays away until `actor` is called,
   * which takes it back: who does that without a message for it starts a fight between the two. Where there are leases, they
   * alone say where an actor is, and this never does.
   */
  isElsewhere(address: string): boolean
  /** Since when an actor is parked, and why, if it is, in whichever process it was last. */
  parked(address: string): Effect.Effect<Option.Option<Rules.Parked>>
  /** Lets a parked actor run again, with a fresh budget: the next message starts it. Says whether it was parked. */
  resume(address: string, about?: About): Effect.Effect<boolean, ActorUnavailable>
  /** Waits until an actor is not parked any more, if it is parked here. It asks nothing meanwhile. */
  awaitResumed(address: string): Effect.Effect<void>
  /**
   * Starts actors that were to be restarted when this process last ended, and whose streams nobody has claimed since.
   * `start` is given the addresses that begin with `prefix`, each once.
   */
  restartScheduled(
    prefix: string,
    start: (address: string) => Effect.Effect<unknown, ActorUnavailable>
  ): Effect.Effect<void>
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
      /** Actors that another process has taken over. */
      const away = new Map<string, { readonly until: number }>()
      const actors = new Map<string, unknown>()
      const scope = yield* Effect.scope
      const ledger = yield* Ledger.open(node, policy)
      const inheritance = Inheritance.make(log, node, policy, ledger)
      /** Where a process has the log to itself, there is nobody to inherit from. */
      const isShared = (yield* Leases).fence !== undefined
      /** What there is to record waits until the log takes it, and nobody waits for that. */
      const record = (command: Rules.Command) =>
        Effect.forkIn(ledger.record(command), scope, { startImmediately: true })
      let stopped: ReadonlyArray<string> | undefined
      // Last added, first run: the actors below stop before the supervisor records that they did.
      yield* Effect.addFinalizer(() =>
        ledger.ask({ _tag: "ReportStop", addresses: stopped ?? [] }).pipe(
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

      /**
       * Whether another process has what an actor lost: its stream, or all that this process had. Otherwise it was a claim of
       * this process, given up and carried out late, and nobody else goes on with the actor.
       */
      const isTakenOver = (address: string, { stream }: StreamFenced) =>
        stream === address ? Effect.map(ledger.isOwn(address), (isOwn) => !isOwn) : Effect.succeed(true)

      const supervise = Effect.fnUntraced(function*<S, C extends Tagged, E extends StoredEvent, A, R>(
        address: string,
        behaviour: Behaviour<S, C, E, A, R>,
        mailbox: Mailbox<C, A, R>
      ) {
        const at = ledger.scheduled.get(address)
        ledger.scheduled.delete(address)
        if (at !== undefined) yield* sleepUntil(at)
        while (true) {
          const started = yield* record({ _tag: "ReportStart", address })
          const exit = yield* Effect.exit(Effect.scoped(run(address, behaviour, mailbox)))
          if (exit._tag === "Success") {
            yield* record({ _tag: "ReportPassivation", address })
            return { isPassivated: true }
          }
          const { cause } = exit
          const error = Option.getOrUndefined(Cause.findErrorOption(cause))
          const fenced = error instanceof StreamFenced ? error : undefined
          const takenOver = fenced !== undefined && (yield* isTakenOver(address, fenced)) ? fenced : undefined
          yield* takenOver === undefined
            ? Effect.logError(`${address} failed`, cause)
            : Effect.logWarning(`${address} is left to another process: ${takenOver.message}`)
          // What is recorded of an actor is recorded in order.
          yield* Fiber.await(started)
          const verdict = yield* ledger.record(
            takenOver !== undefined ? { _tag: "ReportTakeOver", address, epoch: takenOver.current } : {
              _tag: "ReportFailure",
              address,
              cause: Cause.pretty(cause),
              reason: reasonIn(cause, "it was interrupted from within"),
              outage: fenced !== undefined || (error instanceof EventLogError && error.refused !== true),
              chance: yield* Random.next
            }
          )
          switch (verdict._tag) {
            case "Restart":
              yield* sleepUntil(verdict.at)
              continue
            case "Park":
              yield* Effect.logError(`${address} is parked until it is resumed: ${verdict.cause}`, cause)
              break
            case "StayAway":
              away.set(address, { until: verdict.until })
              break
            default:
          }
          return { isPassivated: false }
        }
      })

      /** Why an actor cannot be had now, if so. */
      const refusal = Effect.fnUntraced(function*(address: string) {
        const parked = ledger.parked(address)
        if (parked !== undefined) return parkedBecause(address, parked)
        const until = away.get(address)?.until ?? 0
        return until <= (yield* Clock.currentTimeMillis) ? undefined : new ActorUnavailable({
          address,
          because: `another process has taken over its stream, and this one leaves it alone until ${isoTime(until)}`
        })
      })

      const actor = Effect.fnUntraced(function*<S, C extends Tagged, E extends StoredEvent, A, R>(
        address: string,
        behaviour: Behaviour<S, C, E, A, R>
      ): Effect.fn.Return<ActorRef<C, A, R>, ActorUnavailable> {
        if (stopped !== undefined) return yield* new ActorUnavailable({ address, because: "everything is stopping" })
        // An address belongs to one behaviour, so what is kept under it is of that behaviour's types.
        const known = () => actors.get(address) as ActorRef<C, A, R> | undefined
        const running = known()
        if (running !== undefined) return running
        yield* ledger.known
        if (isShared) yield* inheritance.take(address)
        const refused = yield* refusal(address)
        if (refused !== undefined) return yield* refused
        const mailbox = yield* make<C, A, R>()
        const end = yield* Deferred.make<{ readonly isPassivated: boolean }>()
        // Whoever asks may leave at any moment, but never between the two: nobody would run what everybody finds.
        return yield* Effect.uninterruptible(Effect.gen(function*() {
          // Somebody else may have started it meanwhile, or everything may be stopping.
          const other = known()
          if (other !== undefined) return other
          if (stopped !== undefined) return yield* unavailable(address)
          away.delete(address)
          // What comes too late for an actor that is being passivated starts it again, once the old one is gone.
          const successor = Effect.flatMap(
            Deferred.await(end),
            ({ isPassivated }) =>
              isPassivated
                ? actor(address, behaviour)
                : Effect.flatMap(refusal(address), (refused) =>
                  refused === undefined ? unavailable(address) : Effect.fail(refused))
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
                Effect.flatMap(
                  refusal(address),
                  (refused) => close(address, mailbox, refused?.because ?? "it has stopped", refused?.parked)
                ),
                Deferred.succeed(end, exit._tag === "Success" ? exit.value : { isPassivated: false })
              )
            }),
            FiberMap.run(fibers, address, { startImmediately: true })
          )
          return ref
        }))
      })

      const stop = Effect.fnUntraced(function*(address: string) {
        if (!actors.delete(address)) return
        yield* FiberMap.remove(fibers, address)
        yield* record({ _tag: "ReportStop", addresses: [address] })
      })

      const resume = Effect.fnUntraced(function*(address: string, about?: About) {
        yield* ledger.known
        const resuming = Effect.map(ledger.ask({ _tag: "ResumeActor", address }, about), ({ _tag }) => {
          inheritance.refuse(address)
          ledger.resumed(address)
          return _tag === "Resume"
        })
        // Whoever asked may leave before the answer, and what is in the log by then holds here as well.
        return yield* Fiber.join(yield* Effect.forkDetach(resuming, { startImmediately: true }))
      })

      return Supervisor.of({
        actor,
        stop,
        isElsewhere: (address) => !isShared && away.has(address),
        parked: (address) =>
          Effect.andThen(
            ledger.known,
            Effect.map(
              isShared ? inheritance.parked(address) : Effect.sync(() => ledger.parked(address)),
              Option.fromUndefinedOr
            )
          ),
        resume,
        awaitResumed: ledger.awaitResumed,
        restartScheduled: ledger.restartScheduled,
        running: Effect.sync(() => [...actors.keys()])
      })
    })
  )
}

/** How long a stop waits for the log, in milliseconds. */
const stopMillisMax = 2_000

type Tagged = { readonly _tag: string }

const isoTime = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

/** What whoever asks for a parked actor is told. */
export const parkedBecause = (address: string, parked: Rules.Parked): ActorUnavailable =>
  new ActorUnavailable({
    address,
    because: `it failed too often and is parked since ${isoTime(parked.since)}, until it is resumed: ${parked.cause}`,
    parked
  })

const sleepUntil = (at: number) => Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Math.max(0, at - now)))
