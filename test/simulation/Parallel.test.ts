/** Goal: what runs side by side is what it is alone. Method: real threads. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Coverage } from "../../src/simulation/Coverage.ts"
import { type Ran, runAll } from "../../src/simulation/Parallel.ts"
import { type Profile, profiles } from "../../src/simulation/Profile.ts"
import { run } from "../../src/simulation/Simulation.ts"

const small: Profile = { ...profiles.rough, name: "small", owners: 1, directives: 1, steps: 4, minutes: 10 }

const ranIn = Effect.fnUntraced(function*(profile: Profile, seeds: ReadonlyArray<number>) {
  const all: Array<Ran> = []
  let begun = 0
  yield* runAll({
    profile,
    threads: 2,
    next: Effect.sync(() => seeds[begun++]),
    onRan: (ran) => Effect.sync(() => void all.push(ran))
  })
  return all.sort((a, b) => a.seed - b.seed)
})

const alone = (profile: Profile, seed: number): Ran => {
  const outcome = run({ seed, profile })
  const coverage = new Coverage(profile)
  coverage.add(outcome)
  return { seed, millis: outcome.millis, reached: coverage.reached, isFailed: outcome.violation !== undefined }
}

describe("Runs in threads", () => {
  it.live("are what they are alone, each seed once", () =>
    Effect.gen(function*() {
      const seeds = [1, 2, 3, 4, 5]
      assert.deepStrictEqual(yield* ranIn(small, seeds), seeds.map((seed) => alone(small, seed)))
    }))

  it.live("say which of them fail", () =>
    Effect.gen(function*() {
      // Nothing can settle in a minute where every agent takes three hours.
      const endless: Profile = { ...small, agentMillis: [10_000_000, 10_000_000], settleMinutes: 1 }
      assert.deepStrictEqual((yield* ranIn(endless, [1, 2])).map(({ isFailed }) => isFailed), [true, true])
    }))

  it.live("are none without seeds", () => Effect.map(ranIn(small, []), (all) => assert.lengthOf(all, 0)))
})
