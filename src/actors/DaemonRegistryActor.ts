/**
 * The machinery of an owner's daemons: the rules (`DaemonRegistry.ts`) run by the loop, and what a loss means for the
 * directives whose tasks the daemon had.
 */
import { Context, Effect, Layer } from "effect"
import { Daemons } from "../daemon/Daemons.ts"
import type { DaemonEvent } from "../events/DaemonEvent.ts"
import type { OwnerId } from "../events/Ids.ts"
import * as Rules from "./DaemonRegistry.ts"
import { Directives } from "./DirectiveActor.ts"
import type { Behaviour } from "./internal/loop.ts"
import type { ActorUnavailable } from "./internal/mailbox.ts"
import { Supervisor } from "./SupervisorActor.ts"

export const DaemonPolicy = Context.Reference<Rules.Policy>("makima-runtime/actors/DaemonPolicy", {
  defaultValue: () => Rules.defaultPolicy
})

export class DaemonRegistries extends Context.Service<DaemonRegistries, {
  /** Waits until it is in the log that a daemon came or went. */
  ask(ownerId: OwnerId, command: Rules.Command): Effect.Effect<void, ActorUnavailable>
  /** Starts the owner's registry from the log, so that daemons that do not come back are noticed. */
  resume(ownerId: OwnerId): Effect.Effect<void, ActorUnavailable>
}>()("makima-runtime/actors/DaemonRegistries") {
  static readonly layer = Layer.effect(
    DaemonRegistries,
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const daemons = yield* Daemons
      const directives = yield* Directives
      const policy = yield* DaemonPolicy

      const behaviourOf = (ownerId: OwnerId): Behaviour<Rules.State, Rules.Command, DaemonEvent, void, never> => ({
        empty: () => Rules.empty(policy),
        evolve: Rules.evolve,
        decide: Rules.decide,
        wake: { _tag: "Wake" },
        dueAt: Rules.dueAt,
        // The log may call a daemon connected that this process has no connection of: it gets its grace from now on.
        recovered: Effect.fnUntraced(function*(state, self) {
          const here = new Set(daemons.view(ownerId).map(({ daemonId }) => daemonId))
          for (const { id, status } of state.daemons.values()) {
            if (status === "connected" && !here.has(id)) {
              yield* self.tell({ _tag: "Disconnect", daemonId: id, reason: "the server started anew" })
            }
          }
        }),
        react: Effect.fnUntraced(function*(events) {
          for (const event of events) {
            if (event._tag !== "DaemonLost") continue
            for (const { directiveId, handOver, taskId } of daemons.assignments(ownerId, event.daemonId)) {
              const reason = `daemon ${event.daemonId} was lost`
              yield* directives.tell(directiveId, { _tag: "FailHandOver", taskId, handOver, reason })
            }
          }
        })
      })
      const behaviours = new Map<OwnerId, ReturnType<typeof behaviourOf>>()

      const actor = (ownerId: OwnerId) => {
        const behaviour = behaviours.get(ownerId) ?? behaviourOf(ownerId)
        behaviours.set(ownerId, behaviour)
        return supervisor.actor(streamOf(ownerId), behaviour)
      }
      return DaemonRegistries.of({
        ask: (ownerId, command) => Effect.asVoid(Effect.flatMap(actor(ownerId), (ref) => ref.ask(command))),
        resume: (ownerId) => Effect.asVoid(actor(ownerId))
      })
    })
  )
}

export const streamOf = (ownerId: OwnerId): string => `daemons-${ownerId}`
