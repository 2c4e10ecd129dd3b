/**
 * What the process before this one knew of an actor: a park holds wherever the actor is to run next, until somebody
 * resumes it. Who has the actor's stream was the last to run it, so what its supervisor says counts.
 */
import { Clock, Effect, HashMap, Option } from "effect"
import type { EventLog, EventLogError } from "../../events/EventLog.ts"
import * as Supervision from "../Supervision.ts"
import type * as Rules from "../Supervisor.ts"
import type { Ledger } from "./ledger.ts"
import { ActorUnavailable } from "./mailbox.ts"
import { reasonOf } from "./reason.ts"

/** A process that ends leaves many actors behind: what it knew is read once for all that are started in a while. */
const freshMillis = 1_000

export interface Inheritance {
  /** Takes over what another process knew of an actor that is about to be started here. */
  readonly take: (address: string) => Effect.Effect<void, ActorUnavailable>
  /** Since when an actor is parked, and why, if it is, wherever it was last. */
  readonly parked: (address: string) => Effect.Effect<Rules.Parked | undefined>
  /** It was resumed here, so what others knew of it is past. */
  readonly refuse: (address: string) => void
}

export const make = (
  log: EventLog["Service"],
  node: string,
  policy: Rules.Policy,
  ledger: Ledger
): Inheritance => {
  const refused = new Set<string>()
  const known = new Map<string, { readonly state: Rules.State; readonly at: number }>()

  const stateOf = Effect.fnUntraced(function*(owner: string): Effect.fn.Return<Rules.State, EventLogError> {
    const now = yield* Clock.currentTimeMillis
    const kept = known.get(owner)
    if (kept !== undefined && now - kept.at < freshMillis) return kept.state
    const state = yield* Supervision.stateOf(log, owner, policy)
    known.set(owner, { state, at: now })
    return state
  })

  const theirs = Effect.fnUntraced(function*(address: string) {
    const { owner } = yield* log.streamHead(address)
    if (owner === undefined || owner === node) return undefined
    return HashMap.get((yield* stateOf(owner)).parked, address)
  })

  return {
    take: Effect.fnUntraced(function*(address) {
      if (refused.has(address)) return
      const parked = yield* theirs(address).pipe(
        Effect.tapError((error) => Effect.logWarning(`${address} cannot be started`, error)),
        Effect.mapError((error) => new ActorUnavailable({ address, because: reasonOf(error) }))
      )
      if (parked === undefined) return
      const own = ledger.parked(address)
      if (Option.isSome(parked) && own === undefined) {
        yield* ledger.ask({ _tag: "InheritPark", address, ...parked.value })
      }
      // Another process has run it since it was parked here.
      if (Option.isNone(parked) && own !== undefined) {
        yield* ledger.ask({ _tag: "ResumeActor", address })
        ledger.resumed(address)
      }
    }),
    parked: (address) =>
      refused.has(address)
        ? Effect.sync(() => ledger.parked(address))
        : theirs(address).pipe(
          Effect.map((parked) => parked === undefined ? ledger.parked(address) : Option.getOrUndefined(parked)),
          Effect.catch((error) =>
            Effect.as(Effect.logWarning(`${address} cannot be looked up`, error), ledger.parked(address))
          )
        ),
    refuse: (address) => void refused.add(address)
  }
}
