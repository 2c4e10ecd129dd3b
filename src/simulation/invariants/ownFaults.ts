/**
 * Not in section 10, but what all of it rests on: an actor ends because the store failed, or because another process has
 * its stream, and for no reason of its own. What it makes of either is for the other invariants to say.
 */
import type { Invariant } from "../Invariant.ts"

export const ownFaults: Invariant = {
  name: "own faults",
  says: "No actor fails by its own fault, and none is parked.",
  make: ({ violated }) => ({
    event: ({ event }) => {
      if (event._tag === "ActorParked") violated("actors that go on", `${event.address} is parked`)
      if (event._tag !== "ActorFailed" || event.cause.includes("EventLogError")) return
      violated("an actor that fails only where the store does", `${event.address} failed: ${event.cause.slice(0, 500)}`)
    }
  })
}
