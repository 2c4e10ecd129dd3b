/**
 * Reduces a run that fails to the fewest operations and faults with which the same invariant still fails (delta debugging).
 * Each has a key and draws its chance from a stream of its own, so leaving some out leaves the others as they were.
 */
import { type Options, type Outcome, run } from "./Simulation.ts"

export interface Shrunk {
  readonly outcome: Outcome
  /** The keys of what has to happen. */
  readonly only: ReadonlyArray<string>
  /** How many runs it took. */
  readonly runs: number
}

/** At most so many runs: a story that is a little too long is better than none. */
const runsMax = 600

/** `failed` is the outcome of these options, with a violation. */
export const shrink = (options: Options, failed: Outcome, max: number = runsMax): Shrunk => {
  const invariant = failed.violation?.invariant
  let best: { readonly outcome: Outcome; readonly only: ReadonlyArray<string> } = {
    outcome: failed,
    only: failed.happened.map(({ key }) => key)
  }
  let runs = 0

  /** Whether it still fails with these alone; what did not happen then is not needed either. */
  const stillFails = (keys: ReadonlyArray<string>): boolean => {
    if (runs >= max) return false
    runs += 1
    const outcome = run({ ...options, only: new Set(keys) })
    if (outcome.violation?.invariant !== invariant) return false
    best = { outcome, only: outcome.happened.map(({ key }) => key) }
    return true
  }

  if (!stillFails([])) {
    for (let size = Math.ceil(best.only.length / 2); size >= 1;) {
      let isReduced = false
      for (let from = 0; from < best.only.length;) {
        const rest = best.only.toSpliced(from, size)
        if (rest.length < best.only.length && stillFails(rest)) isReduced = true
        else from += size
      }
      if (runs >= max || (size === 1 && !isReduced)) break
      size = size > 1 ? size >> 1 : 1
    }
  }
  return { ...best, runs }
}
