/**
 * Goal: the log of a seed is the same bytes on every run. Method: runs twice in this process, and once in another. It does
 * not show that anything in the log is right.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { hash } from "node:crypto"
import { resolve } from "node:path"
import process from "node:process"
import { lines } from "../../src/simulation/Canonical.ts"
import { type ProfileName, profiles } from "../../src/simulation/Profile.ts"
import { run } from "../../src/simulation/Simulation.ts"

const digestOf = (seed: number, profile: ProfileName): string => {
  const outcome = run({ seed, profile })
  return hash("sha256", `${lines(outcome.events)}${JSON.stringify(outcome.happened)}${outcome.millis}`)
}

describe("A seed", () => {
  for (const profile of Object.keys(profiles) as ReadonlyArray<ProfileName>) {
    it(`gives the same bytes again and in another process: ${profile}`, () => {
      const seeds = [1, 2, 3]
      const here = seeds.map((seed) => digestOf(seed, profile))
      assert.deepStrictEqual(seeds.map((seed) => digestOf(seed, profile)), here)
      const script = resolve(import.meta.dirname, "digests.ts")
      const there = execFileSync(process.execPath, [script, profile, ...seeds.map(String)], { encoding: "utf8" })
      assert.deepStrictEqual(there.trim().split("\n"), here)
      assert.strictEqual(new Set(here).size, seeds.length, "and another seed gives others")
    }, 180_000)
  }
})
