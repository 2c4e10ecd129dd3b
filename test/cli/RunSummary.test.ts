import { assert, describe, it } from "@effect/vitest"
import { problemOf, summaryOf, told } from "../../src/cli/RunSummary.ts"
import * as BranchName from "../../src/daemon/BranchName.ts"
import * as Chain from "../../src/events/Chain.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import type { RecordedEvent } from "../../src/events/EventLog.ts"
import { directiveId, now, stream } from "../support/directive.ts"
import { type Scenario, scenario, step } from "../support/scenario.ts"

/** The last thing that happened, as the log has it. */
const last = ({ events, state }: Scenario) => {
  const recorded: RecordedEvent<DirectiveEvent> = {
    position: 99,
    stream,
    version: state.version,
    at: now,
    schemaVersion: 1,
    hash: Chain.start,
    event: events.at(-1)!
  }
  return { recorded, state }
}

const completed = (): Scenario => {
  const run = scenario()
  run.plan(step("Do it"), step("Then this", ["Do it"]))
  run.end("Do it", "completed")
  run.end("Then this", "completed")
  run.handOver("PR")
  run.send({ _tag: "UpdateDirective", prUrl: "https://example.test/pull/1" })
  run.report("PR", "completed")
  return run
}

const stalled = (): Scenario => {
  const run = scenario()
  run.plan(step("Do it"), step("Beside it"), step("Then this", ["Do it"]), step("At last", [], 1))
  run.end("Beside it", "completed")
  run.handOver("Do it")
  run.report("Do it", "failed", { reason: "agent exited with status 3\nlooking\nnothing found" })
  return run
}

describe("the summary of a run", () => {
  it("has for programs what came of everything", () => {
    const run = completed()
    const branchOf = (name: string) => BranchName.ofTask(run.task(name).name, run.task(name).id)
    assert.deepStrictEqual(summaryOf(last(run)), {
      directiveId,
      status: "idle",
      branch: run.state.prBranch!,
      prUrl: "https://example.test/pull/1",
      steps: [
        { name: "Do it", status: "completed", branch: branchOf("Do it") },
        { name: "Then this", status: "completed", branch: branchOf("Then this") }
      ],
      events: run.events.length,
      position: 99
    })
    assert.isUndefined(problemOf(run.state))
  })

  it("has for people the same, and the last words of what failed", () => {
    const run = stalled()
    assert.deepStrictEqual(told(last(run), 65_000).split("\n").map((line) => line.replace(/makima\/\S+/, "BRANCH")), [
      "Export invoices: stalled after 1:05",
      "  branch        none",
      "  pull request  none",
      "  steps         1 of 4 completed",
      "    failed     Do it",
      "               agent exited with status 3",
      "               looking",
      "               nothing found",
      "    completed  Beside it  BRANCH",
      "    pending    Then this",
      "    pending    At last",
      `  events        ${run.events.length}, up to log position 99`
    ])
  })

  it("says which step failed and what waits for it", () => {
    assert.strictEqual(
      problemOf(stalled().state),
      `the directive is stalled: "Do it" failed (agent exited with status 3: nothing found); ` +
        `2 steps wait for it: "Then this", "At last"`
    )
  })

  it("names a few where there are many", () => {
    const run = scenario()
    const names = Array.from({ length: 9 }, (_, index) => `Step ${index}`)
    run.plan(...names.map((name) => step(name)), ...names.map((name) => step(`After ${name}`, [name])))
    for (const name of names) run.end(name, "failed")
    assert.match(
      problemOf(run.state)!,
      /"Step 2" failed \(.*\), 6 more; 9 steps wait for them: "After Step 0", "After Step 1", "After Step 2", 6 more$/
    )
  })

  it("has a problem with a failed step, also where nothing waits for it", () => {
    const run = scenario()
    run.plan(step("Do it"))
    run.end("Do it", "failed")
    assert.strictEqual(run.status, "idle")
    assert.strictEqual(problemOf(run.state), `"Do it" failed (Do it went wrong)`)
  })

  it("has a problem with a directive that is paused or needs attention", () => {
    const paused = scenario()
    paused.send({ _tag: "PauseDirective", reason: "lunch\ntime" })
    assert.strictEqual(problemOf(paused.state), "the directive is paused: lunch: time")

    const failing = scenario()
    failing.plan(step("Do it"))
    failing.end("Do it", "completed")
    while (failing.state.attention === undefined) {
      failing.end("PR", "failed")
      failing.pass(600_000)
    }
    assert.match(problemOf(failing.state)!, /^the directive needs attention: .*PR went wrong$/)
  })
})
