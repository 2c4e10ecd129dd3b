/**
 * Two processes on one log: what concerns an owner is written and sent by the process that has the owner, by the table of
 * leases as it is at that moment. A process that stood still believes otherwise; the log and its own clocks keep it quiet.
 */
import type { OwnerId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

/** Shorter than a lease: an outage or a clock that is set says nothing of a process that is there. */
const stillMillisMin = 25_000
/** A minute and a half: it comes up at once, and what goes wrong then is tried again for a minute. */
const goesOnTicks = 18

export const leases: Invariant = {
  name: "leases",
  says:
    "Nothing is written or sent for an owner by a process that does not have it; who has one goes on with it; and only who " +
    "stands still loses one.",
  make: ({ claimantOf, homeOf, isUp, ledger, violated }) => {
    const check = (ownerId: OwnerId, node: string, what: string) => {
      const home = homeOf(ownerId)
      if (home !== undefined && home !== node) violated(`${what} of ${home}, which has ${ownerId}`, `one of ${node}`)
    }
    /** How long each owner has been where it is, in ticks; nothing where that process was not up all the time. */
    const stays = new Map<OwnerId, { readonly home: string; ticks: number | undefined }>()
    const goesOn = (ownerId: OwnerId, home: string) => {
      for (const active of ledger.active()) {
        if (active.ownerId !== ownerId) continue
        const claimant = claimantOf(`directive-${active.directiveId}`)
        if (claimant === home) continue
        violated(`that ${home} goes on with directive ${active.directiveId}`, `${String(claimant)} had it last`)
      }
    }

    return {
      tick: () => {
        for (const ownerId of ledger.registries.keys()) {
          const home = homeOf(ownerId)
          if (home === undefined) continue
          const stay = stays.get(ownerId)
          if (stay?.home !== home) stays.set(ownerId, { home, ticks: isUp(home) ? 0 : undefined })
          else if (stay.ticks !== undefined) {
            stay.ticks = isUp(home) ? stay.ticks + 1 : undefined
            if (stay.ticks === goesOnTicks) goesOn(ownerId, home)
          }
        }
      },
      committed: (events, node) => {
        for (const { event, stream } of events) {
          const ownerId = ledger.ownerOf(stream)
          if (ownerId !== undefined) check(ownerId, node, `a ${event._tag} in ${stream}`)
        }
      },
      lost: (node, stoodStillMillis) => {
        if (stoodStillMillis >= stillMillisMin) return
        violated("that a process that goes on keeps what it has", `another has taken over from ${node}`)
      },
      frame: ({ name, ownerId }, { type }, node) => {
        // That a process is there is nothing about an owner.
        if (type !== "heartbeat" && type !== "error") check(ownerId, node, `a ${type} to ${name}`)
      }
    }
  }
}
