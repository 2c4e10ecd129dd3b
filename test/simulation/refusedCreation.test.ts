/**
 * A bug that a simulated run with agents of a user's own has found: a creation that the store refuses held a slot of the
 * daemon that it had chosen, and when that daemon was lost, the hand-over that was in the log was taken from another.
 */
import { assert, it } from "@effect/vitest"
import { type Profile, profiles, run } from "../../src/simulation/index.ts"

const profile: Profile = {
  ...profiles.calm,
  name: "refused creations",
  owners: 1,
  directives: 3,
  steps: 6,
  daemons: 3,
  minutes: 20,
  faults: { appendRefused: 0.3, daemonDeath: 10 },
  operations: {}
}

it("A creation that is refused leaves no slot taken", () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const { violation } = run({ seed, profile, agent: () => ({ millis: 200_000 }) })
    assert.isUndefined(violation, `seed ${seed}: ${violation?.message}`)
  }
})
