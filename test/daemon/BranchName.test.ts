import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { spawnSync } from "node:child_process"
import * as BranchName from "../../src/daemon/BranchName.ts"
import { hostileTexts, text } from "../prompts/hostile.ts"

const id = "0197c1f2-89ab-7cde-8f01-23456789abcd"

const nasty = [
  ...Object.values(hostileTexts).map(({ text }) => text),
  "",
  "-",
  "--",
  ".",
  "..",
  "@",
  "@{",
  "a..b",
  "a.lock",
  ".lock",
  "/a//b/",
  "HEAD",
  "-d",
  "refs/heads/x",
  "a~1^2:3?*[\\",
  "Füße, ΑΒΓ and İstanbul",
  `${"a".repeat(39)} b`,
  `${"a".repeat(40)} b`,
  "x".repeat(10_000)
]

describe("BranchName", () => {
  it.each([
    ["Hello, World!", "hello-world"],
    ["  Fix #12: a/b.c -- d  ", "fix-12-a-b-c-d"],
    ["日本語", "task"],
    ["", "task"],
    ["---", "task"],
    [`${"a".repeat(39)} b`, "a".repeat(39)],
    ["a".repeat(50), "a".repeat(40)]
  ])("sanitises %j as %s", (name, sanitised) => assert.strictEqual(BranchName.sanitise(name), sanitised))

  it("names the branches of tasks and directives", () => {
    assert.strictEqual(BranchName.ofTask("Greetings: Greet in Greek", id), "makima/greetings-greet-in-greek-0197c1f2")
    assert.strictEqual(BranchName.ofDirective("Greetings", id), "makima/directive-greetings-0197c1f2")
  })

  it.prop("is lower case, digits and single hyphens, of at most 40 characters", [Schema.String], ([name]) => {
    const sanitised = BranchName.sanitise(name)
    assert.match(sanitised, /^[a-z0-9]+(-[a-z0-9]+)*$/)
    assert.isAtMost(sanitised.length, 40)
  })

  it.prop("says the same of what it said", [text], ([name]) => {
    assert.strictEqual(BranchName.sanitise(BranchName.sanitise(name)), BranchName.sanitise(name))
  })

  it("makes names that git takes", () => {
    const names = nasty.flatMap((name) => [BranchName.ofTask(name, id), BranchName.ofDirective(name, id)])
    const script = `for name; do git check-ref-format --branch "$name" || exit 1; done`
    const { status, stdout } = spawnSync("sh", ["-c", script, "sh", ...names], { encoding: "utf8" })
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(stdout.trim().split("\n"), names)
  })
})
