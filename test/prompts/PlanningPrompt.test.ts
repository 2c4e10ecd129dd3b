import { assert, describe, expect, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { planningPrompt } from "../../src/prompts/PlanningPrompt.ts"
import { shape, text } from "./hostile.ts"
import { blocks, run } from "./shell.ts"

const directive = {
  title: "Speak more languages",
  goal: "Greet in Greek.\n\nKeep English the default.",
  existing: [],
  generation: 1,
  memories: []
}

const replanned = {
  ...directive,
  repositoryUrl: "https://example.invalid/hello.git",
  existing: [
    { id: "0197c1f2-0000-7000-8000-000000000001", name: "Write the contract", status: "completed" },
    {
      id: "0197c1f2-0000-7000-8000-000000000002",
      name: "Greet in Greek",
      status: "pending",
      description: "greek.mjs greets.\n\nAccepted when its test passes.",
      orderIndex: 1
    }
  ],
  generation: 2,
  memories: [
    { key: "tests", value: "run with node --test", category: "how to" },
    { key: "style", value: "one file\na language" }
  ]
}

describe("PlanningPrompt", () => {
  it("asks for a first plan", () => expect(planningPrompt(directive)).toMatchFileSnapshot("__snapshots__/planning.md"))

  it("asks for the next generation, with memories and existing steps", () =>
    expect(planningPrompt(replanned)).toMatchFileSnapshot("__snapshots__/replanning.md"))

  it("puts memories first, a line each", () => {
    const lines = planningPrompt(replanned).split("\n")
    assert.deepStrictEqual(lines.slice(0, 4), [
      "# Memories",
      "",
      "- [how to] tests: run with node --test",
      "- [other] style: one file a language"
    ])
  })

  it("shows examples that work when pasted", () => {
    const [batch, single] = blocks(planningPrompt(directive))
    const { calls, status } = run(batch!)
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(calls[0]!.slice(0, 4), ["makima", "directive", "batch-add-steps", "--json"])
    const steps: ReadonlyArray<{ key?: string; dependsOn: ReadonlyArray<string>; orderIndex: number }> = JSON.parse(
      calls[0]![4]!
    )
    const keys = steps.map((step) => step.key)
    assert.isTrue(steps.every((step, at) => step.dependsOn.every((key) => keys.slice(0, at).includes(key))))
    assert.deepStrictEqual(steps.map((step) => step.orderIndex), [0, 1, 1, 2])

    const [call] = run(single!).calls
    assert.deepStrictEqual(call!.slice(0, 4), ["makima", "directive", "add-step", "Describe the export format"])
    assert.deepStrictEqual(call!.filter((word) => word.startsWith("--")), [
      "--description",
      "--task-plan",
      "--order-index"
    ])
  })

  it("fits a frame even when everything in it is endless", () => {
    const endless = "\n".repeat(1_000_000)
    const many = Array.from({ length: 10_000 }, (_, at) => ({
      id: `0197c1f2-0000-7000-8000-${String(at).padStart(12, "0")}`,
      name: "n".repeat(200),
      status: "completed",
      description: endless
    }))
    const memories = Array.from({ length: 1000 }, () => ({ key: "🦊".repeat(1000), value: "🦊".repeat(9000) }))
    const prompt = planningPrompt({ ...replanned, goal: endless, existing: many, memories })
    assert.isBelow(Buffer.byteLength(JSON.stringify(prompt)), 1_000_000)
    assert.include(prompt, "`makima directive show` has the rest")
  })

  const steps = Arbitrary.array(
    Arbitrary.all({ id: text, name: text, status: text, description: text }),
    { minLength: 1, maxLength: 2 }
  )
  const memories = Arbitrary.array(Arbitrary.all({ key: text, value: text, category: text }), {
    minLength: 1,
    maxLength: 2
  })
  it.prop("keeps its shape whatever it is told", { title: text, goal: text, repositoryUrl: text, steps, memories }, (
    { steps: existing, ...told }
  ) => {
    assert.deepStrictEqual(
      shape(planningPrompt({ ...told, existing, generation: 2 })),
      shape(planningPrompt(replanned))
    )
  })
})
