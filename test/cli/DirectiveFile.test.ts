/** What a good file becomes. Bad ones are in `badInput.test.ts`. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as DirectiveFile from "../../src/cli/DirectiveFile.ts"
import { example, temporary } from "../support/cli.ts"

const folder = temporary()

const read = (text: string) => {
  const file = join(folder, "directive.json")
  writeFileSync(file, text)
  return DirectiveFile.read(file).pipe(Effect.provide(NodeServices.layer))
}

describe("a directive file", () => {
  it.effect("needs a title and a goal", () =>
    Effect.map(
      read(`{"title": "T", "goal": "G"}`),
      (found) => assert.deepStrictEqual(found, { directive: { title: "T", goal: "G" }, directory: folder })
    ))

  it.effect("may have everything else, and a byte order mark", () => {
    const directive = {
      title: "T",
      goal: "G\n\nG",
      repositoryUrl: "../elsewhere",
      baseBranch: "feature/x",
      memoryEnabled: true,
      agent: "claude -p",
      steps: [
        { key: "a", name: "A" },
        { name: "B", description: "D", taskPlan: "P", dependsOn: ["a"], orderIndex: 2 }
      ]
    }
    return Effect.map(
      read(`\uFEFF${JSON.stringify(directive)}`),
      (found) => assert.deepStrictEqual(found.directive, directive)
    )
  })

  it.effect("of the example is one", () =>
    DirectiveFile.read(example).pipe(
      Effect.provide(NodeServices.layer),
      Effect.map(({ directive }) => assert.strictEqual(directive.repositoryUrl, "template:repository"))
    ))
})
