/** Every mistake that the simulator has to find. `run.ts` makes them one at a time; `docs/mutants.md` says what came of it. */
import { inDaemons } from "./daemons.ts"
import { inMachinery } from "./machinery.ts"
import type { Mutant } from "./Mutant.ts"
import { inRules } from "./rules.ts"

export const mutants: ReadonlyArray<Mutant> = [...inRules, ...inMachinery, ...inDaemons]
