/**
 * The machinery of an owner's daemons: the rules (`DaemonRegistry.ts`) run by the loop, and what a loss means for the
 * directives whose tasks the daemon had.
 */
import { Context, Effect, Layer, type Option } from "effect"
import type { DaemonEvent } from "../events/DaemonEvent.ts"
import type { DaemonId, OwnerId } from "../events/Ids.ts"
import * as Rules from "./DaemonRegistry.ts"
import { codecFor } from "./DaemonRegistrySnapshot.ts"
import { Daemons, type Session } from "./Daemons.ts"
import { Directives } from "./DirectiveActor.ts"
import type { Behaviour } from "./internal/loop.ts"
import type { ActorUnavailable } from "./internal/mailbox.ts"
import { failAbandoned } from "./internal/places.ts"
import { Leases, requireHere } from "./Leases.ts"
import type { Parked } from "./Supervisor.ts"
import { Supervisor } from "./SupervisorActor.ts"

export const DaemonPolicy = Context.Reference<Rules.Policy>("makima-runtime/actors/DaemonPolicy", {
  defaultValue: () => Rules.defaultPolicy
})

export class DaemonRegistries extends Context.Service<DaemonRegistries, {
  /** Waits until it is in the log that a daemon came or went. */
  ask(ownerId: OwnerId, command: Rules.Command): Effect.Effect<Rules.Answer, ActorUnavailable>
  /** Starts the owner's registry from the log, so that daemons that do not come back are noticed. */
  resume(ownerId: OwnerId): Effect.Effect<void, ActorUnavailable>
  /** Since when an owner's registry is parked, and why, if it is: its daemons cannot connect. */
  parked(ownerId: OwnerId): Effect.Effect<Option.Option<Parked>>
  /** Lets a registry run again that is parked, and says whether it was. */
  resumeParked(ownerId: OwnerId): Effect.Effect<boolean, ActorUnavailable>
  /** Looks whether a registry or the loss of a daemon was forgotten. In a healthy system neither is. */
  readonly reconcile: Effect.Effect<void>
}>()("makima-runtime/actors/DaemonRegistries") {
  static readonly layer = Layer.effect(
    DaemonRegistries,
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const daemons = yield* Daemons
      const directives = yield* Directives
      const policy = yield* DaemonPolicy
      const leases = yield* Leases
      const codec = codecFor(policy)
      const scope = yield* Effect.scope

      const sessionsOf = (ownerId: OwnerId) =>
        new Map(daemons.sessions(ownerId).map((session) => [session.daemonId, session]))

      /** Tells the directives of lost daemons' tasks. Telling them twice does no harm. */
      const tellAbandoned = (ownerId: OwnerId) =>
        Effect.forEach(
          daemons.abandoned(ownerId),
          (assignment) => directives.tell(assignment.directiveId, failAbandoned(assignment)),
          { discard: true }
        )

      const behaviourOf = (
        ownerId: OwnerId
      ): Behaviour<Rules.State, Rules.Command, DaemonEvent, Rules.Answer, never> => {
        let isFirstTime = true
        return {
          empty: () => Rules.empty(policy),
          evolve: Rules.evolve,
          decide: Rules.decide,
          wake: { _tag: "Wake" },
          dueAt: Rules.dueAt,
          recovered: (state) => {
            for (const { id, status } of state.daemons.values()) {
              if (status === "lost") daemons.lose(ownerId, id)
            }
            const sessions = sessionsOf(ownerId)
            if (!isFirstTime) return correctionsOf(state, sessions)
            isFirstTime = false
            return [{ _tag: "AwaitDaemons", here: [...sessions.keys()] }]
          },
          react: Effect.fnUntraced(function*(events) {
            const lost = events.filter(({ _tag }) => _tag === "DaemonLost")
            for (const { daemonId } of lost) daemons.lose(ownerId, daemonId)
            if (lost.length > 0) yield* Effect.forkIn(tellAbandoned(ownerId), scope)
          }),
          snapshots: codec,
          isIdle: (state) =>
            [...state.daemons.values()].every(({ status }) => status === "lost") && sessionsOf(ownerId).size === 0,
          // The next daemon to connect starts it again, and nothing else has to.
          passivated: () => void behaviours.delete(ownerId)
        }
      }
      const behaviours = new Map<OwnerId, ReturnType<typeof behaviourOf>>()

      const actor = (ownerId: OwnerId) => {
        const behaviour = behaviours.get(ownerId) ?? behaviourOf(ownerId)
        behaviours.set(ownerId, behaviour)
        return Effect.andThen(requireHere(leases, ownerId), supervisor.actor(streamOf(ownerId), behaviour))
      }
      const ask = Effect.fn("DaemonRegistries.ask")(function*(ownerId: OwnerId, command: Rules.Command) {
        const ref = yield* actor(ownerId)
        return (yield* ref.ask(command)).answer
      })
      const resume = (ownerId: OwnerId) => Effect.asVoid(ask(ownerId, { _tag: "Wake" }))
      yield* Effect.forkScoped(
        supervisor.restartScheduled(streamOf(""), (address) => actor(address.slice(streamOf("").length) as OwnerId))
      )
      return DaemonRegistries.of({
        ask,
        resume,
        parked: (ownerId) => supervisor.parked(streamOf(ownerId)),
        resumeParked: (ownerId) => Effect.tap(supervisor.resume(streamOf(ownerId)), () => resume(ownerId)),
        reconcile: Effect.suspend(() =>
          Effect.forEach(
            // Those that are elsewhere are reconciled there.
            [...behaviours.keys()].filter((ownerId) => !supervisor.isElsewhere(streamOf(ownerId))),
            (ownerId) =>
              Effect.andThen(actor(ownerId), Effect.forkIn(tellAbandoned(ownerId), scope)).pipe(
                Effect.catch((error) => Effect.logDebug(error.message))
              ),
            { discard: true }
          )
        )
      })
    })
  )
}

export const streamOf = (ownerId: string): string => `daemons-${ownerId}`

/** What the log says about connections and is not so: this process knows which daemons it is connected to. */
const correctionsOf = (state: Rules.State, sessions: ReadonlyMap<DaemonId, Session>): ReadonlyArray<Rules.Command> => {
  const commands: Array<Rules.Command> = []
  for (const { hostname, id, machineId, maxConcurrentTasks, status } of state.daemons.values()) {
    if (status !== "connected" && sessions.has(id)) {
      commands.push({ _tag: "Connect", daemonId: id, hostname, machineId, maxConcurrentTasks })
    }
    if (status === "connected" && !sessions.has(id)) {
      commands.push({ _tag: "Disconnect", daemonId: id, reason: "its connection has ended" })
    }
  }
  return commands
}
