import { assert, describe, expect, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { stepPrompt } from "../../src/prompts/StepPrompt.ts"
import { hostileTexts, shape, text } from "./hostile.ts"
import { blocks, run } from "./shell.ts"

const bare = { directiveTitle: "Speak more languages", name: "Greet in Greek", mergeBranches: [], memories: [] }

const whole = {
  ...bare,
  description: "greek.mjs greets.",
  taskPlan: "Write `greek.mjs`:\n\n```js\nexport const greek = 1\n```\n\n# Then\n\nRun node --test.",
  mergeBranches: ["makima/write-the-contract-0197c1f2", "makima/write-the-tests-0197c1f3"],
  memories: [{ key: "tests", value: "run with node --test", category: "how to" }]
}

describe("StepPrompt", () => {
  it("gives a step that has only a name the default instructions", () =>
    expect(stepPrompt(bare)).toMatchFileSnapshot("__snapshots__/step-bare.md"))

  it("begins with the merges where there are several dependencies", () =>
    expect(stepPrompt(whole)).toMatchFileSnapshot("__snapshots__/step.md"))

  it("fetches, then merges each branch of origin", () => {
    const { calls, status } = run(blocks(stepPrompt(whole))[0]!)
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(calls, [
      ["git", "fetch", "origin"],
      ["git", "merge", "--no-edit", "origin/makima/write-the-contract-0197c1f2"],
      ["git", "merge", "--no-edit", "origin/makima/write-the-tests-0197c1f3"]
    ])
  })

  it("passes branches as they are, even ones that nobody should make", () => {
    const names = Object.values(hostileTexts).map(({ text }) => text).filter((text) =>
      !/[\p{Cc}\p{Cs}\u2028]/u.test(text)
    )
    const { calls, files } = run(blocks(stepPrompt({ ...bare, mergeBranches: names }))[0]!)
    assert.deepStrictEqual(calls.slice(1), names.map((name) => ["git", "merge", "--no-edit", `origin/${name}`]))
    assert.deepStrictEqual(files, [])
  })

  const told = {
    directiveTitle: text,
    name: text,
    description: Arbitrary.map(text, (text) => `d${text}`),
    taskPlan: Arbitrary.map(text, (text) => `p${text}`),
    mergeBranches: Arbitrary.array(text, { minLength: 1, maxLength: 3 }),
    memories: Arbitrary.array(Arbitrary.all({ key: text, value: text }), { minLength: 1, maxLength: 2 })
  }
  it.prop("keeps its shape whatever it is told", told, (told) => {
    assert.deepStrictEqual(shape(stepPrompt(told)), shape(stepPrompt(whole)))
  })
})
