/**
 * Goal: a failing seed comes down to what it needs. Method: an invariant of our own that a known thing violates, among all
 * that happens in a rough world.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Invariant } from "../../src/simulation/Invariant.ts"
import { shrink } from "../../src/simulation/Shrink.ts"
import { run } from "../../src/simulation/Simulation.ts"
import * as Story from "../../src/simulation/Story.ts"

/** Holds until somebody changes a goal. */
const sameGoals: Invariant = {
  name: "same goals",
  says: "Nobody changes a goal.",
  make: ({ violated }) => ({
    event: ({ event }) => {
      if (event._tag === "GoalChanged") violated("the goal that was given", event.goal)
    }
  })
}

const seed = 3
const options = { seed, profile: "rough", invariants: [sameGoals] } as const

describe("A failing seed", () => {
  const failed = run(options)
  const { only, outcome, runs } = shrink(options, failed)

  it("comes down to the operations that it needs", () => {
    assert.strictEqual(failed.violation?.invariant, "same goals")
    assert.isAbove(failed.happened.length, 20)
    assert.deepStrictEqual(only.map((key) => key.split(" ")[0]), ["create", "changeGoal"])
    assert.isBelow(runs, 200)
  })

  it("is told as a story", () => {
    const story = Story.story(outcome)
    assert.include(story, `Seed ${seed} of rough: invariant same goals does not hold at 00:`)
    assert.include(story, "expected: the goal that was given")
    assert.match(story, /\d\d:\d\d:\d\d\.\d{3} {2}somebody asks directive \d to change its goal/)
  })

  it("is given as a test that fails in the same way", () => {
    const again = run({ ...options, only: new Set(only) })
    assert.deepStrictEqual(again.violation?.message, outcome.violation?.message)
    const text = Story.test(outcome, only)
    for (const key of only) assert.include(text, JSON.stringify(key))
    assert.include(text, `run({ seed: ${seed}, profile: "rough", only: new Set([`)
  })
})
