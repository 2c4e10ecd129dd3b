/** Prints the digests of runs, for `determinism.test.ts`, which wants them from another process. */
import { hash } from "node:crypto"
import process from "node:process"
import { lines } from "../../src/simulation/Canonical.ts"
import type { ProfileName } from "../../src/simulation/Profile.ts"
import { run } from "../../src/simulation/Simulation.ts"

const [, , profile, ...seeds] = process.argv
for (const seed of seeds) {
  const outcome = run({ seed: Number(seed), profile: profile as ProfileName })
  const text = `${lines(outcome.events)}${JSON.stringify(outcome.happened)}${outcome.millis}`
  process.stdout.write(`${hash("sha256", text)}\n`)
}
