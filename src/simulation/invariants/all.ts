/** All invariants that hold in every run. */
import type { Invariant } from "../Invariant.ts"
import { handOvers } from "./handOvers.ts"
import { inFlight } from "./inFlight.ts"
import { ownFaults } from "./ownFaults.ts"
import { places } from "./places.ts"
import { stepOrder } from "./stepOrder.ts"

export const invariants: ReadonlyArray<Invariant> = [stepOrder, handOvers, places, inFlight, ownFaults]
