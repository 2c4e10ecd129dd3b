/**
 * Goal: `it.simulate` is a test like any other, and says of a failure all that one needs. Method: vitest itself, in a
 * process of its own, runs `fixtures` and `examples/simulation`.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import process from "node:process"
import { text } from "node:stream/consumers"
import { patience, temporary } from "../support/cli.ts"

const checkout = resolve(import.meta.dirname, "../..")
const fixtures = join(import.meta.dirname, "fixtures")
const example = join(checkout, "examples/simulation")

interface Ran {
  readonly status: number | null
  readonly output: string
  /** By its name, why a test failed; null if it did not, undefined if it was not run. */
  readonly failures: ReadonlyMap<string, string | null>
}

const vitest = async (root: string, environment: Readonly<Record<string, string>> = {}): Promise<Ran> => {
  const report = join(temporary(), "report.json")
  const child = spawn(
    process.execPath,
    [
      join(checkout, "node_modules/vitest/vitest.mjs"),
      "run",
      "--root",
      root,
      "--no-color",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`
    ],
    { cwd: checkout, env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] }
  )
  const ended = new Promise<number | null>((ends) => void child.once("exit", ends))
  const [status, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as {
    readonly testResults: ReadonlyArray<{
      readonly assertionResults: ReadonlyArray<{
        readonly title: string
        readonly status: string
        readonly failureMessages: ReadonlyArray<string>
      }>
    }>
  }
  const all = testResults.flatMap(({ assertionResults }) => assertionResults).filter(({ status }) =>
    status !== "skipped" && status !== "pending"
  )
  return {
    status,
    output: stdout + stderr,
    failures: new Map(all.map(({ failureMessages, title }) => [title, failureMessages[0] ?? null]))
  }
}

const countOf = (lines: ReadonlyArray<string>, line: string): number => lines.filter((one) => one === line).length

describe("it.simulate", () => {
  let ran: Ran
  let seen: ReadonlyArray<string>
  beforeAll(async () => {
    const file = join(temporary(), "seen")
    ran = await vitest(fixtures, { SEEN: file })
    seen = readFileSync(file, "utf8").trim().split("\n")
  }, patience)

  const failure = (name: string): string => {
    const message = ran.failures.get(name)
    assert.isString(message, name)
    return message!
  }

  it("passes where everything holds, next to ordinary tests", () => {
    assert.strictEqual(ran.status, 1)
    const passed = [...ran.failures].filter(([, message]) => message === null).map(([name]) => name)
    assert.deepStrictEqual(passed, [
      "is an ordinary test",
      "holds",
      "runs twenty seeds",
      "runs for a time",
      "holds what is checked at its end"
    ])
  })

  it("runs as many seeds as it is told, twenty if it is not, and none when it is skipped", () => {
    assert.strictEqual(countOf(seen, "holds"), 2)
    assert.strictEqual(countOf(seen, "twenty"), 20)
    assert.isAtLeast(countOf(seen, "time"), 1)
    assert.strictEqual(countOf(seen, "skipped"), 0)
  })

  it("tells of a check that fails, by the fewest things that have to happen", () => {
    const message = failure("a check")
    assert.match(message, /SimulationFailed: Seed 1[1-3] of small: invariant of this test does not hold at \d\d:\d\d:/)
    assert.include(message, "  a check\n")
    assert.include(message, "found:    a goal was changed")
    assert.match(message, /somebody asks directive \d to change its goal/)
    assert.match(
      message,
      /\n {2}only: \[\n {4}"create directive \d",\n {4}"changeGoal directive \d \d"\n {2}\]\n}, check\)/
    )
    assert.match(message, /MAKIMA_SEED=1[1-3] npx vitest run -t "a check"/)
  })

  it("points to the test, and to the assertion in it", () => {
    for (const name of ["a check", "nothing that comes up"]) {
      assert.match(failure(name), /[^:]\n +at .*all\.fixture\.ts:\d+:\d+/)
    }
    assert.match(ran.output, /Caused by: AssertionError: a goal was changed[^\n]*\n(.*\n)*? ❯ all\.fixture\.ts:\d+:\d+/)
  })

  it("runs what is listed alone", () => {
    assert.include(failure("only"), "there is no directive")
    assert.include(failure("only"), "  only: []\n}, check)")
  })

  it("refuses a check and an agent that nothing waits for", () => {
    assert.include(failure("a promise"), "the check returns a promise, which nothing waits for")
    assert.include(failure("an agent that waits"), "the agent returns a promise, which nothing waits for")
  })

  it("refuses what makes no sense, rather than passing", () => {
    assert.include(failure("no seeds"), "seeds is 0: it has to be a whole number from 1 on")
    assert.include(failure("half a seed"), "seed is 0.5: it has to be a whole number from 0 on")
    assert.include(failure("no time"), "minutes is 0: it has to be more than 0")
    assert.include(failure("no such profile"), "profile is \"stormy\": it has to be one of calm, rough, storm,")
    assert.include(failure("a negative rate"), "the rate of operation stop is -1: it has to be a number from 0 on")
    assert.include(
      failure("no such option"),
      "there is no option profle: it has to be one of seed, profile, only, agent"
    )
    assert.include(failure("seeds past the last"), "20 seeds from 9007199254740991 on go past the last one")
    assert.include(
      failure("an agent that ends otherwise"),
      "the agent ends \"sideways\": it has to be one of well, badly,"
    )
    assert.include(failure("nothing that comes up"), "only lists nothing that comes up in seed 1")
  })
})

describe("The page about it", () => {
  it("begins with a test that fails as it says", async () => {
    const page = readFileSync(join(checkout, "docs/simulation.md"), "utf8")
    const [, first] = /```ts\n([^]*?)```/.exec(page)!
    const folder = temporary()
    const entry = JSON.stringify(join(checkout, "src/simulation/Vitest.ts"))
    writeFileSync(
      join(folder, "first.test.ts"),
      first!.replace("\"makima-runtime/simulation/vitest\"", entry)
    )
    const seed = /MAKIMA_SEED=(\d+)/.exec(page)![1]!
    const message = (await vitest(folder, { MAKIMA_SEED: seed })).failures.get("what is deployed was built")
    assert.include(message, "expected 'skipped' to equal 'completed'")
    assert.match(message!, /only: \[\s+"create directive \d",\s+"skipStep directive \d \d"\s+\]/)
  }, patience)
})

describe("The example", () => {
  const name = "a directive has one deploy at a time"

  it("holds with the planner that thinks of earlier plans", async () => {
    const { failures, output, status } = await vitest(example)
    assert.strictEqual(status, 0, output)
    assert.deepStrictEqual([...failures], [[name, null]])
  }, patience)

  it("refuses a seed in the environment that is none", async () => {
    const { failures } = await vitest(example, { MAKIMA_SEED: "1.5" })
    assert.include(failures.get(name), "MAKIMA_SEED is \"1.5\": it has to be a whole number from 0 on")
  }, patience)

  it("fails with the other one, as a test that can be pasted and as a seed", async () => {
    const failed = await vitest(example, { PLANNER: "hasty" })
    const message = failed.failures.get(name)
    assert.include(message, "found:    Deploy 0 and Deploy 1")
    const seed = /MAKIMA_SEED=(\d+)/.exec(message!)![1]!
    const pasted = /\nit\.simulate\((.*\n)*?}\)/.exec(message!)![0]
    const again = await vitest(example, { PLANNER: "hasty", MAKIMA_SEED: seed })
    assert.strictEqual(storyOf(again.failures.get(name)), storyOf(message))

    const folder = temporary()
    const source = (path: string) => JSON.stringify(join(checkout, path))
    writeFileSync(
      join(folder, "pasted.test.ts"),
      [
        `import { it } from ${source("src/simulation/Vitest.ts")}`,
        `import { oneDeploy } from ${source("examples/simulation/oneDeploy.ts")}`,
        `import { hasty } from ${source("examples/simulation/planners.ts")}`,
        "const directive = (index: number) => ({ title: `Release ${index}`, goal: \"Release what there is\" })",
        "const options = { agent: hasty, directive, invariants: [oneDeploy] }",
        pasted
      ].join("\n")
    )
    const [alone, ...others] = (await vitest(folder)).failures
    assert.isEmpty(others)
    assert.strictEqual(storyOf(alone![1]), storyOf(message))
  }, patience)
})

const storyOf = (message: string | null | undefined): string => message!.slice(0, message!.indexOf("\n\n"))
