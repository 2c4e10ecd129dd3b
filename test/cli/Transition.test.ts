import { assert, describe, it } from "@effect/vitest"
import * as Directive from "../../src/actors/Directive.ts"
import { transition } from "../../src/cli/Transition.ts"
import { stream } from "../support/directive.ts"
import { type Scenario, scenario, step } from "../support/scenario.ts"

/** What is printed of all that happened. */
const told = ({ events }: Scenario): ReadonlyArray<string> => {
  let state = Directive.empty(stream)
  return events.flatMap((event) => {
    state = Directive.evolve(state, event)
    return transition(event, state, () => "anvil") ?? []
  })
}

describe("the lines of a run", () => {
  it("tell of each transition, by names without the directive's title", () => {
    const run = scenario()
    run.plan(step("Do it"))
    run.handOver("Do it")
    run.report("Do it", "running")
    run.report("Do it", "completed")
    run.end("PR", "completed")
    assert.deepStrictEqual(told(run), [
      "directive: draft → active",
      `task "Plan": pending → starting on anvil`,
      `task "Plan": running → completed`,
      "plan accepted: 1 step",
      `step "Do it": pending → ready`,
      `task "Do it": pending → starting on anvil`,
      `task "Do it": starting → running`,
      `step "Do it": ready → running`,
      `task "Do it": running → completed`,
      `step "Do it": running → completed`,
      "directive: active → idle: every step has ended",
      `task "Pull request": pending → starting on anvil`,
      `task "Pull request": running → completed`
    ])
  })

  it("say why something failed, once and briefly", () => {
    const run = scenario()
    run.plan(step("Do it"), step("Then this", ["Do it"]))
    run.handOver("Do it")
    run.report("Do it", "failed", { reason: `agent exited with status 1\n${"noise\n".repeat(300)}it broke\n` })
    assert.deepStrictEqual(told(run).slice(-3), [
      `task "Do it": → failed`,
      `step "Do it": running → failed: agent exited with status 1: it broke`,
      "directive: active → stalled: 1 failed, 1 blocked"
    ])
  })

  it("say that a plan failed, and that a changed goal is planned again", () => {
    const failed = scenario()
    failed.end("Plan", "failed")
    assert.match(told(failed).at(-1)!, /^directive: → paused: .*Plan went wrong$/)

    const changed = scenario()
    changed.plan(step("Do it"))
    changed.send({ _tag: "UpdateDirective", goal: "Another" })
    changed.handOver("Plan")
    assert.deepStrictEqual(told(changed).slice(-2), [
      "goal changed (revision 2)",
      `task "Re-plan": pending → starting on anvil`
    ])
  })

  it("are lines, whatever somebody calls a step", () => {
    const run = scenario()
    const name = "a\n\u001b[2J\"b\u202e"
    run.plan(step(name))
    run.end(name, "failed")
    for (const line of told(run)) assert.match(line, /^[^\p{Cc}\p{Cf}]+$/u)
    assert.include(told(run), `step "a [2J\\"b": pending → ready`)
  })
})
