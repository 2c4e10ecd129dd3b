/** The short form of `npm run crash`: one run, whose server is killed twice. */
import { assert, describe, it } from "@effect/vitest"
import { wreck } from "./wreck.ts"

describe("The example by real processes", { timeout: 180_000 }, () => {
  it("ends as if nothing had happened when its server is killed twice", async () => {
    const { kills } = await wreck({ seed: 11, kills: 2, killWithinMillis: 6_000 })
    assert.lengthOf(kills, 2)
  })
})
