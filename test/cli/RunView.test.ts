import { assert, describe, it } from "@effect/vitest"
import { displayWidth } from "effect/cli/CliOutput"
import * as RunView from "../../src/cli/RunView.ts"
import { now } from "../support/directive.ts"
import { type Scenario, scenario, step } from "../support/scenario.ts"

const large = { columns: 100, rows: 30 }

/** A picture ten seconds after the start, of a run whose tasks were all handed over in its first second. */
const picture = (run: Scenario, size: RunView.Size = large, isColoured = false) => {
  const tasks = new Map(
    run.events.flatMap((event) =>
      event._tag === "TaskHandedOver" ? [[event.taskId as string, { from: now + 1000 }]] : []
    )
  )
  return RunView.picture(run.state, { startedAt: now, now: now + 10_000, tasks }, () => "anvil", size, isColoured)
}

/** Three levels, of which the second is at work. */
const atWork = (): Scenario => {
  const run = scenario()
  run.plan(
    step("Define the format"),
    step("Write the export", ["Define the format"], 1),
    step("Write the download", [], 1),
    step("Document it", [], 2)
  )
  run.end("Define the format", "completed")
  run.handOver("Write the export")
  run.report("Write the export", "running")
  run.end("Write the download", "failed")
  return run
}

describe("the picture of a run", () => {
  it("shows a directive that is being planned", () => {
    const run = scenario()
    run.handOver("Plan")
    assert.deepStrictEqual(picture(run), [
      "Export invoices  active  10.0 s",
      "◔ Plan          starting       9.0 s  anvil"
    ])
  })

  it("shows steps level by level, with their state, time and daemon, and why one failed", () => {
    assert.deepStrictEqual(picture(atWork()), [
      "Export invoices  active  10.0 s",
      "███████░░░░░░░░░░░░░░░░░░░░░░░ 1 of 4 steps",
      "✓ Plan                  completed      9.0 s  anvil",
      "✓ Define the format     completed      9.0 s  anvil",
      "  ◐ Write the export    running        9.0 s  anvil",
      "  ✗ Write the download  failed         9.0 s  anvil  Write the download went wrong",
      "    · Document it       pending"
    ])
  })

  it("shows the pull request, and when a failed one is tried again", () => {
    const run = scenario()
    run.plan(step("Do it"))
    run.end("Do it", "completed")
    run.handOver("PR")
    assert.strictEqual(picture(run).at(-1), "◔ Pull request  starting       9.0 s  anvil")
    run.report("PR", "failed", { reason: "agent exited with status 1\nremote: denied" })
    const wait = (run.state.completionDueAt! - now - 10_000) / 1000
    assert.strictEqual(
      picture(run).at(-1),
      `◔ Pull request  waiting        9.0 s  anvil  again in ${wait.toFixed(1)} s`
    )
  })

  it("keeps the plan and the next steps in sight where there are more steps than rows", () => {
    const run = scenario()
    const names = Array.from({ length: 40 }, (_, index) => `Step ${index}`)
    run.plan(...names.map((name, index) => step(name, [], index)))
    for (const name of names.slice(0, 10)) run.end(name, "completed")
    const lines = picture(run, { columns: 80, rows: 10 })
    assert.deepStrictEqual(lines.map((line) => line.trim().slice(0, 9).trim()), [
      "Export in",
      "███████░░",
      "✓ Plan",
      "○ Step 10",
      "· Step 11",
      "· Step 12",
      "· Step 13",
      "· Step 14",
      "… 10 abov"
    ])
    assert.strictEqual(lines.at(-1), "… 10 above, 25 below")
    for (const name of names.slice(10)) run.end(name, "completed")
    run.handOver("PR")
    assert.include(picture(run, { columns: 80, rows: 10 }).at(-2), "… 36 above")
    assert.include(picture(run, { columns: 80, rows: 10 }).at(-1), "Pull request")
  })

  it.each([[200, 60], [80, 24], [40, 8], [20, 4], [10, 2], [1, 1]])("fits %i columns and %i rows", (columns, rows) => {
    const run = atWork()
    run.addSteps(
      step("名前がとても長い手順 ".repeat(8), [], 3),
      step("👩‍👩‍👧‍👦 ".repeat(15), [], 4),
      step("x".repeat(200), [], 5)
    )
    for (const isColoured of [true, false]) {
      const lines = picture(run, { columns, rows }, isColoured)
      assert.isBelow(lines.length, Math.max(2, rows))
      for (const line of lines) assert.isBelow(displayWidth(line), Math.max(2, columns), line)
    }
  })

  it("aligns its columns behind wide names", () => {
    const run = scenario()
    run.plan(step("長い手順"), step("Short"), step("👩‍👩‍👧‍👦 family"))
    const columns = picture(run).slice(3).map((line) => displayWidth(line.slice(0, line.indexOf("ready"))))
    assert.strictEqual(new Set(columns).size, 1, picture(run).join("\n"))
  })

  it("never lets a name steer the terminal", () => {
    const hostile = "a\u001b[2Jb\u009b31mc\r\nd\u202ee\u2028f\u0007g\u0000h"
    const run = scenario({ title: hostile.replace("\0", "") })
    run.plan(step(hostile.replace("\0", "")))
    run.handOver(hostile.replace("\0", ""))
    run.report(hostile.replace("\0", ""), "failed", { reason: `\u001b]0;title\u0007\n${hostile}` })
    for (const line of picture(run)) assert.match(line, /^[^\p{Cc}\u2028\u2029\u202a-\u202e]*$/u)
  })

  it("has colours only where they are wanted", () => {
    assert.isTrue(picture(atWork(), large, true).some((line) => line.includes("\u001b[32m")))
    assert.isFalse(picture(atWork(), large, false).some((line) => line.includes("\u001b")))
  })
})
