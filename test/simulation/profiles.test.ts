/**
 * Goal: nothing that has to hold fails in any of these worlds. Method: seeds from a fixed start, each profile in turn; what
 * is printed on a failure can be pasted as a test. It does not show that the invariants would notice (see
 * `invariants.test.ts`), and other seeds have other stories: `makima simulate`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Coverage } from "../../src/simulation/Coverage.ts"
import { type ProfileName, profiles } from "../../src/simulation/Profile.ts"
import { shrink } from "../../src/simulation/Shrink.ts"
import { run } from "../../src/simulation/Simulation.ts"
import * as Story from "../../src/simulation/Story.ts"

const seeds: Readonly<Record<ProfileName, number>> = { calm: 30, rough: 80, storm: 20, partition: 30, crash: 40 }

describe("Every invariant holds", () => {
  for (const [name, count] of Object.entries(seeds) as ReadonlyArray<[ProfileName, number]>) {
    it(`in ${count} worlds of the profile ${name}`, () => {
      const coverage = new Coverage(profiles[name])
      for (let seed = 1; seed <= count; seed += 1) {
        const outcome = run({ seed, profile: name })
        coverage.add(outcome)
        if (outcome.violation === undefined) continue
        const shrunk = shrink({ seed, profile: name }, outcome, 100)
        assert.fail(`${Story.story(shrunk.outcome)}\n\n${Story.test(shrunk.outcome, shrunk.only)}`)
      }
      // Rare things need more seeds than there are here; most of what there is has to be reached by these.
      assert.isAtMost(coverage.missed.length, coverage.expected / 4, `never reached: ${coverage.missed.join(", ")}`)
    }, 180_000)
  }
})
