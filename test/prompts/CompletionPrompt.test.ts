import { assert, describe, expect, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { completionPrompt } from "../../src/prompts/CompletionPrompt.ts"
import { hostileTexts, shape, text } from "./hostile.ts"
import { blocks, run } from "./shell.ts"

const first = {
  title: "Speak more languages",
  goal: "Greet in Greek.\n\nKeep English the default.",
  baseBranch: "main",
  prBranch: "makima/directive-speak-more-languages-0197c1f2",
  steps: [
    { name: "Write the contract", branch: "makima/speak-more-languages-write-the-contract-0197c1f2" },
    { name: "Greet in Greek", branch: "makima/speak-more-languages-greet-in-greek-0197c1f3" }
  ]
}
const prUrl = "https://example.invalid/hello/pull/1"

const notOnOrigin = `case "$command" in "git ls-remote"*) exit 2 ;; "gh pr create"*) echo ${prUrl} ;; esac`

describe("CompletionPrompt", () => {
  it("opens a pull request the first time", () =>
    expect(completionPrompt(first)).toMatchFileSnapshot("__snapshots__/completion.md"))

  it("updates the pull request from then on", () =>
    expect(completionPrompt({ ...first, prUrl })).toMatchFileSnapshot("__snapshots__/completion-update.md"))

  it.each(Object.entries(hostileTexts))("passes title, goal and step names on as they are: %s", (_, hostile) => {
    const steps = first.steps.map((step) => ({ ...step, name: hostile.text }))
    const [block] = blocks(completionPrompt({ ...first, title: hostile.text, goal: hostile.text, steps }))
    const { calls, files, status } = run(block!, notOnOrigin)
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(files, [])

    const [branch1, branch2] = first.steps.map((step) => step.branch)
    const create = calls.find((call) => call[0] === "gh")!
    const [title, body] = [create[4]!, create[6]!]
    assert.deepStrictEqual(calls, [
      ["git", "fetch", "origin"],
      ["git", "checkout", "--ignore-other-worktrees", "-B", first.prBranch, "origin/main"],
      ["git", "ls-remote", "--exit-code", "origin", `refs/heads/${first.prBranch}`],
      ["git", "merge", "--no-edit", `origin/${branch1}`],
      ["git", "merge", "--no-edit", `origin/${branch2}`],
      ["git", "push", "-u", "origin", first.prBranch],
      ["gh", "pr", "create", "--title", title, "--body", body, "--head", first.prBranch, "--base", "main"],
      ["makima", "directive", "update", "--pr-url", prUrl]
    ])
    const name = hostile.text.length > 1000 ? `${"🦊".repeat(499)}…` : hostile.line
    assert.strictEqual(title, hostile.line)
    assert.strictEqual(
      body,
      `## Goal\n\n${hostile.quoted}\n\n## Steps\n\n- ${branch1}: ${name}\n- ${branch2}: ${name}`
    )
  })

  it("fences the commands with more backticks than any text in them has", () => {
    assert.match(completionPrompt({ ...first, goal: "`````" }), /^`{6}sh$/m)
  })

  it("uses what an earlier attempt pushed and opened", () => {
    const opened = `case "$command" in "gh pr create"*) exit 1 ;; "gh pr view"*) echo ${prUrl} ;; esac`
    const { calls, status } = run(blocks(completionPrompt(first))[0]!, opened)
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(calls[3], ["git", "merge", "--no-edit", `origin/${first.prBranch}`])
    assert.deepStrictEqual(calls.slice(-2), [
      ["gh", "pr", "view", first.prBranch, "--json", "url", "--jq", ".url"],
      ["makima", "directive", "update", "--pr-url", prUrl]
    ])
  })

  it.each(["git fetch", "git checkout", "git merge", "git push", "gh pr", "makima"])(
    "stops when %s fails",
    (command) => {
      const { calls, status } = run(
        blocks(completionPrompt(first))[0]!,
        `case "$command" in "${command}"*) exit 1 ;; esac`
      )
      assert.notStrictEqual(status, 0)
      assert.isTrue(calls.at(-1)!.join(" ").startsWith(command))
    }
  )

  it("merges into the branch of the known pull request", () => {
    const { calls, status } = run(blocks(completionPrompt({ ...first, prUrl }))[0]!)
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(calls, [
      ["git", "fetch", "origin"],
      ["git", "checkout", "--ignore-other-worktrees", first.prBranch],
      ["git", "pull", "--no-rebase", "--no-edit", "origin", first.prBranch],
      ...first.steps.map(({ branch }) => ["git", "merge", "--no-edit", `origin/${branch}`]),
      ["git", "push", "origin", first.prBranch]
    ])
  })

  it("fits a frame with ten thousand steps, and merges them all", () => {
    const steps = Array.from({ length: 10_000 }, (_, at) => ({
      name: `Step ${at}`,
      branch: `makima/speak-more-languages-step-${at}-0197c1f2`
    }))
    const prompt = completionPrompt({ ...first, steps })
    assert.isBelow(Buffer.byteLength(JSON.stringify(prompt)), 1_000_000)
    assert.strictEqual(prompt.match(/^git merge/gm)!.length, 10_000)
    assert.include(prompt, " more)")
  })

  const told = {
    title: text,
    goal: text,
    baseBranch: text,
    prBranch: text,
    steps: Arbitrary.array(Arbitrary.all({ name: text, branch: text }), { minLength: 1, maxLength: 3 })
  }
  it.prop("keeps its shape whatever it is told", told, (told) => {
    assert.deepStrictEqual(shape(completionPrompt(told)), shape(completionPrompt(first)))
    assert.deepStrictEqual(
      shape(completionPrompt({ ...told, prUrl: "x" })),
      shape(completionPrompt({ ...first, prUrl }))
    )
  })
})
