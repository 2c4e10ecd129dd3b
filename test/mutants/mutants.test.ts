/**
 * Goal: every mutant is still a mistake in the code as it is: what it replaces is there once, and what comes of it can be
 * read. Whether the simulator finds it is for `npm run mutants` to say, which takes long.
 */
import { assert, describe, it } from "@effect/vitest"
import { stripTypeScriptTypes } from "node:module"
import { join } from "node:path"
import { mutated } from "./Mutant.ts"
import { mutants } from "./mutants.ts"

const root = join(import.meta.dirname, "../..")

describe("Mutants", () => {
  it("have names of their own", () => {
    assert.strictEqual(new Set(mutants.map(({ name }) => name)).size, mutants.length)
  })

  for (const mutant of mutants) {
    it(`${mutant.name} is in the code once, and can be read`, () => {
      stripTypeScriptTypes(mutated(root, mutant))
    })
  }
})
