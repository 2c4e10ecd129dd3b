/**
 * Where the original goes wrong (spec section 8): a named test for each row of the table, in its order, as far as the
 * rules decide it. Rows about processes, restarts and two servers are tested with the actors and the log.
 */
import { assert, describe, it } from "@effect/vitest"
import { HashMap } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import * as BranchName from "../../src/daemon/BranchName.ts"
import { daemonA, daemonB, stream } from "../support/directive.ts"
import { scenario, step } from "../support/scenario.ts"

describe("Where the original goes wrong", () => {
  it("a failed send is an event, and the task goes to another daemon while the failing one is excluded", () => {
    const run = scenario()
    run.plan(step("a"))
    run.handOver("a")
    assert.deepStrictEqual(run.loseDaemon("a"), ["HandOverFailed"])
    assert.strictEqual(run.task("a").status, "pending")
    assert.strictEqual(run.task("a").exclusions[0]!.daemonId, daemonA)
    assert.deepStrictEqual(run.handOver("a", daemonB), ["TaskHandedOver"])
  })

  it("a plan without steps pauses the directive with the reason, and nothing loops", () => {
    const run = scenario()
    run.plan()
    assert.strictEqual(run.status, "paused")
    assert.strictEqual(Directive.answerOf(run.state).reason, "the plan added no steps")
    assert.isUndefined(run.dueAt)
    assert.deepStrictEqual(run.pass(15_000), [])
    run.send({ _tag: "ResumeDirective" })
    assert.deepStrictEqual(run.waiting, ["Plan: Export invoices"])
  })

  it("a goal that changes while it is planned is planned again, exactly once", () => {
    const run = scenario()
    run.handOver("Plan")
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.addSteps(step("a"))
    assert.strictEqual(run.task("Plan").revision, 1)
    run.report("Plan", "completed")
    assert.strictEqual(run.task("Plan").revision, 2)
    assert.deepStrictEqual(run.waiting, ["Re-plan: Export invoices", "a"])
    run.plan(step("b"))
    assert.deepStrictEqual(run.pass(15_000), [])
    assert.deepStrictEqual(run.waiting, ["a", "b"])
  })

  it("a completion that fails is tried a bounded number of times with growing delays, then asks for attention", () => {
    const run = scenario()
    run.plan(step("a"))
    run.end("a", "completed")
    const delays: Array<number> = []
    while (run.state.attention === undefined) {
      run.end("PR", "failed")
      if (run.dueAt === undefined) break
      delays.push(run.dueAt - run.now)
      run.pass(run.dueAt - run.now)
    }
    assert.deepStrictEqual(delays, [10_000, 20_000])
    assert.include(Directive.answerOf(run.state).reason, "the pull request failed 3 times")
    assert.deepStrictEqual(run.pass(1_000_000), [])
  })

  it("a pull request's contents are recorded, and only a completed step that is not in it makes another", () => {
    const run = scenario()
    run.plan(step("a"), step("b"))
    run.end("a", "completed")
    run.end("b", "failed")
    run.send({ _tag: "UpdateDirective", prUrl: "https://example.test/pr/1" })
    assert.deepStrictEqual(run.last("TaskCreated").contents, [run.stepId("a")])
    run.end("PR", "completed")
    assert.deepStrictEqual(run.pass(15_000), [])
    run.send({ _tag: "RetryStep", stepId: run.stepId("b") })
    run.end("b", "completed")
    assert.deepStrictEqual(run.last("TaskCreated").contents, [run.stepId("b")])
  })

  it("dependents of a failed step are blocked, the directive is stalled and says so, and a retry sets it going", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]), step("c", ["b"]), step("d"), step("later", [], 1))
    run.end("a", "failed")
    assert.strictEqual(run.status, "active")
    run.end("d", "completed")
    assert.strictEqual(run.status, "stalled")
    assert.deepStrictEqual(run.last("DirectiveStalled"), {
      _tag: "DirectiveStalled",
      failed: [run.stepId("a")],
      blocked: 3
    })
    assert.strictEqual(Directive.answerOf(run.state).reason, "failed: \"a\"; held up by that: 3 steps")
    assert.deepStrictEqual(run.pass(15_000), [])
    const stalledAt = run.events.length
    for (
      const command of [
        { _tag: "RetryStep", stepId: run.stepId("a") },
        { _tag: "SkipStep", stepId: run.stepId("a") },
        { _tag: "UpdateDirective", goal: "CSV and JSON." }
      ] as const
    ) {
      const again = scenario()
      again.state = run.events.slice(0, stalledAt).reduce(Directive.evolve, Directive.empty(stream))
      again.send(command)
      assert.strictEqual(again.status, "active", command._tag)
    }
  })

  it("a merge preamble and a completion prompt name a step's branch the same, by one function", () => {
    const run = scenario()
    run.plan(step("a"), step("Write the CSV reader!"), step("c", ["a", "Write the CSV reader!"]))
    run.end("a", "completed")
    run.end("Write the CSV reader!", "completed")
    const merging = run.task("c").plan
    run.end("c", "completed")
    const { id, name } = run.task("Write the CSV reader!")
    assert.include(merging, BranchName.ofTask(name, id))
    assert.include(run.last("TaskCreated").plan, BranchName.ofTask(name, id))
  })

  it("a lost daemon's tasks go to another, or fail after three hand-overs", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.handOver("a")
    run.report("a", "running")
    run.loseDaemon("a")
    assert.deepStrictEqual(run.waiting, ["a"])
    run.handOver("a", daemonB)
    run.report("a", "running")
    assert.deepStrictEqual(run.statuses, { a: "running", b: "pending" })
    run.loseDaemon("a")
    run.handOver("a")
    run.loseDaemon("a")
    assert.deepStrictEqual(run.statuses, { a: "failed", b: "pending" })
    assert.strictEqual(run.status, "stalled")
  })

  it("a late success of a superseded hand-over is accepted while the task is open; all else stale has no effect", () => {
    const run = scenario()
    run.plan(step("a"))
    run.handOver("a")
    run.loseDaemon("a")
    run.handOver("a", daemonB)
    const before = run.state
    run.report("a", "failed", { daemonId: daemonA, handOver: 1 })
    assert.deepStrictEqual(run.last("ReportIgnored").report, "failed")
    assert.strictEqual(run.task("a").status, "starting")
    assert.strictEqual(run.state.dag, before.dag)
    run.report("a", "completed", { daemonId: daemonA, handOver: 1 })
    assert.deepStrictEqual(run.last("TaskCompleted"), {
      _tag: "TaskCompleted",
      taskId: run.task("a").id,
      handOver: 1
    })
    assert.deepStrictEqual(run.report("a", "failed"), ["ReportIgnored"])
    assert.deepStrictEqual(run.statuses, { a: "completed" })
  })

  it("a task, its link and its step's new status are one decision, so no crash comes between them", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.handOver("a")
    run.report("a", "running")
    assert.deepStrictEqual(run.report("a", "completed"), [
      "TaskCompleted",
      "StepCompleted",
      "StepReadied",
      "TaskCreated"
    ])
    assert.strictEqual(run.step("b").taskId, run.last("TaskCreated").taskId)
  })

  it("the report that ends one task makes the next one ready to go out, with no tick between", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.end("a", "completed")
    assert.deepStrictEqual(run.waiting, ["b"])
    assert.deepStrictEqual(run.send({ _tag: "Wake" }), [])
  })

  it("everything resumes from the log: after each event the fold is the live state, and nothing is due twice", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]), step("c", [], 1))
    run.end("a", "completed")
    run.handOver("b")
    const restarted = scenario()
    restarted.state = (JSON.parse(JSON.stringify(run.events)) as typeof run.events)
      .reduce(Directive.evolve, Directive.empty(stream))
    assert.deepStrictEqual(restarted.state, run.state)
    assert.deepStrictEqual(restarted.send({ _tag: "Wake" }), [])
    assert.deepStrictEqual(restarted.waiting, [])
    assert.isTrue(HashMap.has(restarted.state.tasks, run.task("b").id))
  })

  it("a title full of shell syntax reaches no command unquoted", () => {
    const title = "\"; `touch x` $(touch y)\n' && touch z #"
    const run = scenario({ title })
    run.plan(step("a"))
    run.end("a", "completed")
    const { plan } = run.last("TaskCreated")
    const quoted = `pr_title='"; \`touch x\` $(touch y) '\\'' && touch z #'`
    assert.include(plan, quoted)
    assert.match(run.state.prBranch!, /^makima\/directive-[a-z0-9-]+$/)
    assert.include(plan, run.state.prBranch!)
  })

  it("a command repeated with its idempotency key gets the first answer and changes nothing", () => {
    const run = scenario()
    run.handOver("Plan")
    run.addSteps(step("a"))
    assert.deepStrictEqual(run.send({ _tag: "AddSteps", steps: [step("b")] }, "key-1"), [
      "StepAdded",
      "CommandAnswered"
    ])
    assert.deepStrictEqual(run.send({ _tag: "AddSteps", steps: [step("b")] }, "key-1"), [])
    assert.strictEqual(run.state.stepCount, 2)
  })
})
