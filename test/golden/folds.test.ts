/** Snapshots from before a change of `evolve` are not used after it. */
import { assert, describe, it } from "@effect/vitest"
import * as Directive from "../../src/actors/Directive.ts"
import { advice, changed, directiveFold, foldsNow, readFolds } from "./folds.ts"

describe("What the golden logs fold to", () => {
  it("is the same for as long as snapshots are of the same schema", () => {
    const before = readFolds()
    assert.isDefined(before)
    const now = foldsNow()
    assert.deepStrictEqual(changed(before, now), [], advice)
    assert.deepStrictEqual(now, before, "run `npm run golden`")
  })

  it("is noticed when an event comes to mean something else", () => {
    const now = foldsNow()
    const forgetful: typeof Directive.evolve = (state, event) => {
      const next = Directive.evolve(state, event)
      return event._tag === "StepRetried" ? { ...next, unmerged: next.unmerged + 1 } : next
    }
    const other = foldsNow({ directive: directiveFold(forgetful) })
    assert.deepStrictEqual(
      changed(now, other),
      Object.keys(now["directive"]!.logs).map((version) => `directive ${version}`)
    )
    assert.deepStrictEqual(changed(now, { ...other, directive: { ...other["directive"]!, schema: "raised" } }), [])
  })
})
