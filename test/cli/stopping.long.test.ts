/**
 * Runs on one data directory, side by side and stopped at any moment. They share a bundled PostgreSQL of their own:
 * whatever is left of one of them, a process or a file, is found here.
 */
import { assert, describe, it } from "@effect/vitest"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll } from "vitest"
import type { NewStep } from "../../src/actors/DirectiveCommand.ts"
import {
  agent,
  appears,
  directiveFile,
  jsonLines,
  leftovers,
  lines,
  makima,
  patience,
  processes,
  start,
  type Started,
  step,
  temporary
} from "../support/cli.ts"
import { git, repositoryIn } from "../support/repository.ts"

const folder = temporary()
const data = join(folder, "data")

beforeAll(() => {
  repositoryIn(folder)
})

const run = (file: string, args: ReadonlyArray<string> = [], dataDirectory = data) =>
  start(["run", file, "--data-dir", dataDirectory, ...args])

/** Nothing runs, nothing is locked, and the repository knows of no worktree but its own. */
const nothingIsLeft = (what: string) => {
  assert.deepStrictEqual(processes(), [], what)
  assert.deepStrictEqual(leftovers(folder), [], what)
  assert.strictEqual(git(join(folder, "repository"), "worktree", "list").split("\n").length, 1, what)
}

/** Stops a run, and wants it gone within ten seconds. */
const stops = async (process: Started, signal: NodeJS.Signals, what: string) => {
  const before = performance.now()
  process.kill(signal)
  const { status, stderr } = await process.ended
  assert.strictEqual(status, 130, `${what}: ${stderr}`)
  assert.strictEqual(lines(stderr).at(-1), "makima: stopped", what)
  assert.isBelow(performance.now() - before, 10_000, what)
  nothingIsLeft(what)
}

describe("makima run", { timeout: patience }, () => {
  /** Writes a directive file of its own name. Its agent waits in tasks of one kind, until it is ended. */
  const waitingIn = (name: string, kind: "plan" | "step" | "complete", fields: object = {}) => {
    const pattern = { plan: "^# Directive to plan", step: "^Step: ", complete: "^# Commands" }[kind]
    // The agent has a child, in case that only the agent itself is ended.
    const agent = `grep -q '${pattern}' || exit 0; echo waiting; sleep 300 & sleep 300`
    return directiveFile(folder, { repositoryUrl: "repository", agent, ...fields }, name)
  }
  const steps = [step("One"), step("Two"), step("Three", { orderIndex: 1 })]

  it("leaves nothing behind, wherever it is stopped", async () => {
    // The very first start makes the data directory, which takes a while.
    const made = join(folder, "made")
    const first = run(waitingIn("first.json", "plan"), [], made)
    await appears(made)
    await stops(first, "SIGINT", "while the data directory is made")

    const planning = run(waitingIn("planning.json", "plan"))
    await planning.says(/task "Plan": starting → running/)
    await stops(planning, "SIGINT", "while planning")

    const working = run(waitingIn("working.json", "step", { steps }), ["--json"])
    await working.says(/task "Two": starting → running/)
    await working.says(/task "One": starting → running/)
    for (const expected of [/postgres -D/, /sleep 300/]) assert.isTrue(processes().some((line) => expected.test(line)))
    assert.isNotEmpty(leftovers(data))
    await stops(working, "SIGTERM", "while steps run")

    const completing = run(waitingIn("completing.json", "complete", { steps: [step("One")] }))
    await completing.says(/task "Pull request": starting → running/)
    await stops(completing, "SIGINT", "during completion")

    // And what it leaves says what happened.
    const { directiveId } = jsonLines((await working.ended).stdout)[0].event
    const log = await makima(["log", directiveId, "--data-dir", data, "--json"])
    const paused = jsonLines(log.stdout).filter(({ type }) => type === "DirectivePaused")
    assert.deepStrictEqual(paused.map(({ event }) => event.reason), ["makima run was stopped"])
    nothingIsLeft("after the log was read")
  })

  it("stays out of the way of another run, and goes on when that one ends", async () => {
    const wait = (file: string) => `until [ -e "${folder}/${file}" ]; do sleep 0.05; done`
    const file = (name: string, steps: ReadonlyArray<NewStep>, scripts: Record<string, string>) =>
      directiveFile(folder, { title: name, repositoryUrl: "repository", agent: agent(scripts), steps }, `${name}.json`)

    // Neither can end its first step before both are there, and the second one's last step waits for the first's end.
    const short = run(file("short", [step("Meet")], { Meet: `touch "${folder}/one"; ${wait("two")}` }), ["--json"])
    await short.says(/task "Meet": starting → running/)
    const long = run(
      file("long", [step("Meet"), step("Stay", { orderIndex: 1 })], {
        Meet: `touch "${folder}/two"; ${wait("one")}`,
        Stay: wait("three")
      }),
      ["--json"]
    )
    const first = await short.ended
    writeFileSync(join(folder, "three"), "")
    const second = await long.ended
    assert.deepStrictEqual([first.status, second.status], [0, 0], first.stderr + second.stderr)
    const [one, two] = [jsonLines(first.stdout), jsonLines(second.stdout)]
    assert.deepStrictEqual([one.at(-1).steps.length, two.at(-1).steps.length], [1, 2])
    // They share one log.
    assert.isBelow(two[0].position, one.at(-1).position)
    nothingIsLeft("after both")
  })

  it("stops, and not with a crash, when nobody reads what it prints", async () => {
    const unheard = run(waitingIn("unheard.json", "step", { steps }), ["--json"])
    unheard.deafen()
    const { status, stderr } = await unheard.ended
    assert.strictEqual(status, 130, stderr)
    assert.deepStrictEqual(lines(stderr).filter((line) => !/^ +\d+\.\d s {2}/.test(line)), ["makima: stopped"])
    nothingIsLeft("after nobody read")
  })
})
