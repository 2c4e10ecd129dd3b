/** Planning and re-planning: when a plan is made, when it takes effect, and what a bad one does (spec section 3). */
import { assert, describe, it } from "@effect/vitest"
import { scenario, step } from "../support/scenario.ts"

describe("Directive, planning", () => {
  it("plans a directive that has no steps", () => {
    const task = scenario().last("TaskCreated")
    assert.strictEqual(task.kind, "planning")
    assert.strictEqual(task.name, "Plan: Export invoices")
    assert.strictEqual(task.description, "Directive planning task")
    assert.strictEqual(task.repositoryUrl, "https://example.test/shop.git")
    assert.strictEqual(task.baseBranch, "main")
    assert.isUndefined(task.completionAction)
    assert.strictEqual(task.generation, 1)
  })

  it("does not plan a directive that was given steps before it was started", () => {
    const run = scenario({ start: false })
    run.addSteps(step("a"), step("b", ["a"]))
    assert.deepStrictEqual(run.statuses, { a: "pending", b: "pending" })
    run.send({ _tag: "StartDirective" })
    assert.deepStrictEqual(run.waiting, ["a"])
    assert.strictEqual(run.count("PlanAccepted"), 0)
  })

  it("lets added steps wait until the plan ends well", () => {
    const run = scenario()
    run.handOver("Plan")
    run.addSteps(step("a"))
    assert.deepStrictEqual(run.statuses, { a: "pending" })
    assert.deepStrictEqual(run.waiting, [])
    assert.deepStrictEqual(run.report("Plan", "completed"), [
      "TaskCompleted",
      "PlanAccepted",
      "StepReadied",
      "TaskCreated"
    ])
    assert.deepStrictEqual(run.waiting, ["a"])
  })

  it("takes a success that was never preceded by a sign of life", () => {
    const run = scenario()
    run.plan(step("a"))
    assert.strictEqual(run.last("PlanAccepted").steps, 1)
  })

  it("pauses with the reason when the plan fails, keeps what it added, and plans again on resuming", () => {
    const run = scenario()
    run.handOver("Plan")
    run.addSteps(step("a"))
    run.report("Plan", "failed", { reason: "no idea" })
    assert.strictEqual(run.status, "paused")
    assert.strictEqual(run.state.pausedBecause, "planning failed: no idea")
    assert.deepStrictEqual(run.statuses, { a: "pending" })
    run.send({ _tag: "ResumeDirective" })
    assert.include(run.task("Plan").plan, `${run.stepId("a")} [pending, orderIndex 0] a`)
    assert.strictEqual(run.last("TaskCreated").generation, 2)
    run.plan(step("b", [run.stepId("a")]))
    assert.deepStrictEqual(run.statuses, { a: "ready", b: "pending" })
  })

  it("accepts a second plan that adds nothing to what the failed one left", () => {
    const run = scenario()
    run.handOver("Plan")
    run.addSteps(step("a"))
    run.report("Plan", "failed")
    run.send({ _tag: "ResumeDirective" })
    run.plan()
    assert.strictEqual(run.status, "active")
    assert.deepStrictEqual(run.statuses, { a: "ready" })
  })

  it("pauses when all that a failed plan left was skipped and nothing came instead", () => {
    const run = scenario()
    run.handOver("Plan")
    run.addSteps(step("a"))
    run.report("Plan", "failed")
    run.send({ _tag: "SkipStep", stepId: run.stepId("a") })
    run.send({ _tag: "ResumeDirective" })
    run.plan()
    assert.strictEqual(run.status, "paused")
  })

  it("plans again after a failed plan although somebody added steps meanwhile", () => {
    const run = scenario()
    run.handOver("Plan")
    run.addSteps(step("left"))
    run.report("Plan", "failed")
    run.addSteps(step("by hand"))
    run.send({ _tag: "ResumeDirective" })
    assert.deepStrictEqual(run.waiting, ["Plan: Export invoices", "by hand"])
  })

  it("lets a step that depends on a failed plan's step wait for it, also when it is skipped", () => {
    const run = scenario()
    run.handOver("Plan")
    run.addSteps(step("left"))
    run.report("Plan", "failed")
    run.addSteps(step("by hand", [run.stepId("left")]))
    assert.deepStrictEqual(run.statuses, { left: "pending", "by hand": "pending" })
    run.send({ _tag: "SkipStep", stepId: run.stepId("left") })
    assert.deepStrictEqual(run.statuses, { left: "skipped", "by hand": "ready" })
  })

  it("goes on with steps that somebody adds after an empty plan", () => {
    const run = scenario()
    run.plan()
    run.addSteps(step("a"))
    run.send({ _tag: "ResumeDirective" })
    assert.deepStrictEqual(run.waiting, ["a"])
  })
})

describe("Directive, re-planning", () => {
  it("plans the changed goal as the next generation, with the existing steps in the prompt", () => {
    const run = scenario()
    run.plan({ ...step("a"), description: "The writer." }, step("b", ["a"]))
    run.end("a", "completed")
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    const task = run.last("TaskCreated")
    assert.strictEqual(task.name, "Re-plan: Export invoices")
    assert.deepStrictEqual([task.revision, task.generation], [2, 2])
    assert.include(task.plan, `${run.stepId("a")} [completed, orderIndex 0] a`)
    assert.include(task.plan, "The writer.")
    assert.include(task.plan, "CSV and JSON.")
    run.plan(step("c"))
    assert.strictEqual(run.step("c").generation, 2)
  })

  it("lets the steps that were there go on meanwhile", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.handOver("Plan")
    run.addSteps(step("new"))
    run.end("a", "completed")
    assert.deepStrictEqual(run.statuses, { a: "completed", b: "ready", new: "pending" })
    run.end("b", "completed")
    assert.strictEqual(run.status, "active")
    run.report("Plan", "completed")
    assert.deepStrictEqual(run.waiting, ["new"])
  })

  it("is not held up by a lower orderIndex of a plan that is still being made", () => {
    const run = scenario()
    run.plan(step("a", [], 1), step("b", ["a"], 1))
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.handOver("Plan")
    run.addSteps(step("first", [], 0))
    run.end("a", "completed")
    assert.deepStrictEqual(run.waiting, ["b"])
  })

  it("holds a ready step back once the plan has put a lower orderIndex before it", () => {
    const run = scenario()
    run.plan(step("a", [], 1))
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.plan(step("first", [], 0))
    assert.deepStrictEqual(run.waiting, ["first"])
    assert.deepStrictEqual(run.handOver("a"), [])
    run.end("first", "completed")
    assert.deepStrictEqual(run.waiting, ["a"])
  })

  it("stalls when that lower step fails, with the held step among the blocked", () => {
    const run = scenario()
    run.plan(step("a", [], 1), step("b", ["a"], 1))
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.plan(step("first", [], 0))
    run.end("first", "failed")
    assert.deepStrictEqual(run.last("DirectiveStalled"), {
      _tag: "DirectiveStalled",
      failed: [run.stepId("first")],
      blocked: 2
    })
    run.send({ _tag: "SkipStep", stepId: run.stepId("first") })
    assert.deepStrictEqual([run.status, ...run.waiting], ["active", "a"])
  })

  it("is idle and not stalled any more when the held step ends after all", () => {
    const run = scenario()
    run.plan(step("a", [], 1))
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.plan(step("first", [], 0))
    run.end("first", "failed")
    assert.strictEqual(run.status, "stalled")
    run.send({ _tag: "InterruptTask", taskId: run.task("a").id })
    assert.strictEqual(run.status, "idle")
  })

  it("may only skip steps that the new goal makes pointless", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.send({ _tag: "UpdateDirective", goal: "No CSV after all." })
    run.handOver("Plan")
    run.send({ _tag: "SkipStep", stepId: run.stepId("b") })
    run.report("Plan", "completed")
    assert.strictEqual(run.status, "active")
    run.end("a", "completed")
    assert.strictEqual(run.status, "idle")
  })

  it("pauses after a plan that changed nothing, and goes on without another when resumed", () => {
    const run = scenario()
    run.plan(step("a"))
    run.end("a", "completed")
    run.send({ _tag: "UpdateDirective", goal: "The same in other words." })
    run.plan()
    assert.strictEqual(run.state.pausedBecause, "the plan for revision 2 of the goal added no steps")
    run.send({ _tag: "ResumeDirective" })
    assert.strictEqual(run.status, "idle")
    assert.strictEqual(run.events.filter((one) => one._tag === "TaskCreated" && one.kind === "planning").length, 2)
  })

  it("sets an idle and a stalled directive going again", () => {
    for (const end of ["completed", "failed"] as const) {
      const run = scenario()
      run.plan(step("a"), step("b", ["a"]))
      run.end("a", end)
      if (end === "completed") run.end("b", end)
      assert.strictEqual(run.status, end === "completed" ? "idle" : "stalled")
      run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
      assert.strictEqual(run.status, "active")
      assert.include(run.waiting, "Re-plan: Export invoices")
    }
  })
})
