/**
 * The example's agent, run for real on the prompts of this project, in real worktrees. The test does what a daemon
 * does around the agent: worktrees, commits, pushes. `makima` is a stand-in that writes down how it was called.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"
import { text } from "node:stream/consumers"
import { afterAll } from "vitest"
import * as BranchName from "../../src/daemon/BranchName.ts"
import { uuidV5 } from "../../src/events/Ids.ts"
import { completionPrompt } from "../../src/prompts/CompletionPrompt.ts"
import { planningPrompt } from "../../src/prompts/PlanningPrompt.ts"
import { stepPrompt } from "../../src/prompts/StepPrompt.ts"
import { git, repositoryIn } from "../support/repository.ts"
import { makeFolder, removeFolder } from "../support/temporary.ts"

interface Step {
  readonly key: string
  readonly name: string
  readonly description: string
  readonly taskPlan: string
  readonly dependsOn: ReadonlyArray<string>
  readonly orderIndex: number
}

const example = resolve(import.meta.dirname, "../../examples/hello")
const directive: { title: string; goal: string; agent: string } = JSON.parse(
  readFileSync(join(example, "directive.json"), "utf8")
)
const prBranch = BranchName.ofDirective(directive.title, uuidV5("hello"))

const folder = makeFolder()
const clone = join(folder, "repository")
const calls = join(folder, "calls")

const environment = {
  HOME: folder,
  PATH: [join(folder, "bin"), resolve(process.execPath, ".."), "/usr/bin", "/bin"].join(delimiter),
  MAKIMA_DIRECTIVE_DIR: example,
  HELLO_PAUSE_MS: "0",
  CALLS: calls
}

/** Runs the directive's agent command on a prompt, the way the daemon does. */
const runAgent = async (cwd: string, prompt: string, more: Record<string, string> = {}) => {
  const agent = spawn("sh", ["-c", directive.agent], { cwd, env: { ...environment, ...more } })
  const closed = new Promise<number | null>((resolve) => agent.on("close", resolve))
  agent.stdin.end(prompt)
  const [status, out, errors] = await Promise.all([closed, text(agent.stdout), text(agent.stderr)])
  return { status, output: out + errors }
}

const succeed = async (cwd: string, prompt: string) => {
  const { output, status } = await runAgent(cwd, prompt)
  assert.strictEqual(status, 0, output)
}

/** What the agent asked of makima since the last time, one list of arguments a call. */
const callsMade = (): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = readFileSync(calls, "utf8").split("\0\n").filter((call) => call !== "")
  writeFileSync(calls, "")
  return lines.map((line) => line.split("\0"))
}

const branchOf = (step: Step): string => BranchName.ofTask(`${directive.title}: ${step.name}`, uuidV5(step.key))

/** A step as a daemon carries it out: continue from the first dependency, run the agent, commit, push. */
const carryOut = async (step: Step, steps: ReadonlyArray<Step>) => {
  const [first, ...others] = step.dependsOn.map((key) => branchOf(steps.find((other) => other.key === key)!))
  const worktree = join(folder, `step-${step.key}`)
  git(clone, "worktree", "add", "--quiet", "-b", branchOf(step), worktree, first ?? "origin/main")
  await succeed(worktree, stepPrompt({ ...step, directiveTitle: directive.title, mergeBranches: others, memories: [] }))
  git(worktree, "add", "--all")
  git(worktree, "commit", "--quiet", "--message", step.name)
  git(worktree, "push", "--quiet", "origin", branchOf(step))
}

const prepare = () => {
  mkdirSync(join(folder, "bin"))
  writeFileSync(calls, "")
  const record = `#!/bin/sh\n{ printf '%s\\0' "$@"; echo; } >> "$CALLS"\n`
  writeFileSync(join(folder, "bin/makima"), record, { mode: 0o755 })
  repositoryIn(folder, { files: join(example, "repository") })
}

const planning = { ...directive, existing: [], generation: 1, memories: [] }

describe("examples/hello", () => {
  prepare()
  afterAll(() => removeFolder(folder))

  it("is planned, carried out step by step and completed by following the prompts", async () => {
    await succeed(clone, planningPrompt(planning))
    const [planned, ...more] = callsMade()
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(planned!.slice(0, 3), ["directive", "batch-add-steps", "--json"])
    const steps: ReadonlyArray<Step> = JSON.parse(planned![3]!)
    assert.isAtLeast(steps.length, 5)
    const levels = [...new Set(steps.map((step) => step.orderIndex))].sort()
    assert.isAtLeast(levels.length, 3)
    assert.isTrue(steps.some((step) => step.dependsOn.length > 1), "fans in")
    assert.isTrue(steps.some(({ key }) => steps.filter((step) => step.dependsOn.includes(key)).length > 1), "fans out")

    for (const level of levels) {
      await Promise.all(steps.filter((step) => step.orderIndex === level).map((step) => carryOut(step, steps)))
    }

    const complete = {
      ...directive,
      baseBranch: "main",
      prBranch,
      steps: steps.map((step) => ({ name: step.name, branch: branchOf(step) }))
    }
    const prUrl = "https://example.invalid/hello/pull/1"
    const stored = [["directive", "update", "--pr-url", prUrl]]
    for (const attempt of [1, 2]) {
      const worktree = join(folder, `completion-${attempt}`)
      git(clone, "worktree", "add", "--quiet", "--detach", worktree, "origin/main")
      await succeed(worktree, completionPrompt(complete))
      assert.deepStrictEqual(callsMade(), stored, `attempt ${attempt}`)
    }
    const update = join(folder, "update")
    git(clone, "worktree", "add", "--quiet", "--detach", update, "origin/main")
    await succeed(update, completionPrompt({ ...complete, prUrl }))
    assert.deepStrictEqual(callsMade(), [])

    git(folder, "clone", "--quiet", "--branch", prBranch, "origin.git", "result")
    const result = join(folder, "result")
    assert.includeMembers(readdirSync(join(result, "languages")), [
      "english.mjs",
      "greek.mjs",
      "finnish.mjs",
      "index.mjs"
    ])
    const tests = execFileSync(process.execPath, ["--test"], { cwd: result, encoding: "utf8", env: environment })
    assert.match(tests, /fail 0/)
    const greeting = execFileSync(process.execPath, ["hello.mjs", "Ada", "fi"], { cwd: result, encoding: "utf8" })
    assert.strictEqual(greeting, "Hei, Ada!\n")
  })

  it("answers a changed goal with a step that continues from what is done", async () => {
    const id = uuidV5("existing")
    const existing = [{ id, name: "Write it", status: "completed", orderIndex: 3 }]
    await succeed(clone, planningPrompt({ ...planning, goal: "It's new.\n\n```", existing, generation: 2 }))
    const [step]: ReadonlyArray<Step> = JSON.parse(callsMade()[0]![3]!)
    assert.deepStrictEqual([step!.dependsOn, step!.orderIndex], [[id], 4])

    const worktree = join(folder, "goal")
    git(clone, "worktree", "add", "--quiet", "--detach", worktree, "origin/main")
    await succeed(worktree, stepPrompt({ ...step!, directiveTitle: "T", mergeBranches: [], memories: [] }))
    assert.strictEqual(readFileSync(join(worktree, "goals/2.md"), "utf8"), "It's new.\n\n```\n")
  })

  const step = { directiveTitle: "T", name: "Greet in Greek", mergeBranches: [], memories: [] }
  const completion = { ...directive, baseBranch: "main", prBranch: "nowhere", steps: [{ name: "x", branch: "gone" }] }
  it.each([
    ["planning when told so", planningPrompt(planning), { HELLO_FAIL: "planning" }, "HELLO_FAIL=planning"],
    ["a step when told so", stepPrompt(step), { HELLO_FAIL: "step:Greet in Greek" }, "HELLO_FAIL=step:Greet in Greek"],
    ["completion when told so", completionPrompt(completion), { HELLO_FAIL: "completion" }, "HELLO_FAIL=completion"],
    ["a step without instructions", stepPrompt(step), {}, "I cannot think"],
    ["a step whose check fails", stepPrompt({ ...step, taskPlan: "```sh\nfalse\n```" }), {}, "ended with status 1"],
    [
      "a step that leaves its worktree",
      stepPrompt({ ...step, taskPlan: "Write `../x`:\n\n```\nx\n```" }),
      {},
      "outside"
    ],
    ["a merge of a branch that is gone", stepPrompt({ ...step, mergeBranches: ["gone"] }), {}, "ended with status 1"],
    ["completion without a step's branch", completionPrompt(completion), {}, "ended with status 1"],
    ["a prompt it doesn't know", "Make me a sandwich", {}, "no section"]
  ])("fails %s, and says so", async (_, prompt, more, message) => {
    const worktree = mkdtempSync(join(folder, "failing-"))
    git(clone, "worktree", "add", "--quiet", "--detach", worktree, "origin/main")
    const { output, status } = await runAgent(worktree, prompt, more)
    assert.strictEqual(status, 1)
    assert.include(output, message)
    assert.deepStrictEqual(callsMade(), [])
  })

  it("adds nothing when told to plan nothing", async () => {
    const { status } = await runAgent(clone, planningPrompt(planning), { HELLO_PLAN: "empty" })
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(callsMade(), [])
  })
})
