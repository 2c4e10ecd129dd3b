/** All invariants that hold in every run. */
import type { Invariant } from "../Invariant.ts"
import { absences } from "./absences.ts"
import { acknowledged } from "./acknowledged.ts"
import { bounds } from "./bounds.ts"
import { handOvers } from "./handOvers.ts"
import { inFlight } from "./inFlight.ts"
import { interrupts } from "./interrupts.ts"
import { leases } from "./leases.ts"
import { liveness } from "./liveness.ts"
import { owners } from "./owners.ts"
import { ownFaults } from "./ownFaults.ts"
import { places } from "./places.ts"
import { plans } from "./plans.ts"
import { repeats } from "./repeats.ts"
import { rests } from "./rests.ts"
import { sameState } from "./sameState.ts"
import { sequence } from "./sequence.ts"
import { slots } from "./slots.ts"
import { stepOrder } from "./stepOrder.ts"
import { turns } from "./turns.ts"

export const invariants: ReadonlyArray<Invariant> = [
  stepOrder,
  handOvers,
  places,
  inFlight,
  sequence,
  sameState,
  acknowledged,
  repeats,
  liveness,
  owners,
  ownFaults,
  plans,
  bounds,
  rests,
  absences,
  interrupts,
  leases,
  turns,
  slots
]
