/**
 * Not in section 10, but what all of it rests on: an actor ends because the store failed, or because its stream was claimed
 * anew, and for no reason of its own; and none is left to another process, since whoever can still record that has the
 * owner. What an actor makes of its end is for the other invariants to say.
 */
import type { Invariant } from "../Invariant.ts"

/** What an append of an actor fails with that has done nothing wrong. */
const faultless = ["EventLogError", "StreamFenced"]

export const ownFaults: Invariant = {
  name: "own faults",
  says: "No actor fails by its own fault, and none is parked, or left to a process that does not have its owner.",
  make: ({ violated }) => ({
    event: ({ event, stream }) => {
      if (event._tag === "ActorParked") violated("actors that go on", `${event.address} is parked`)
      if (event._tag === "ActorTakenOver") {
        violated("actors that run where their owner is", `${stream} leaves ${event.address} to somebody else`)
      }
      if (event._tag !== "ActorFailed" || faultless.some((error) => event.cause.includes(error))) return
      violated("an actor that fails only where the store does", `${event.address} failed: ${event.cause.slice(0, 500)}`)
    }
  })
}
