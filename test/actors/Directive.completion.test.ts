/** The pull request: when it is made, from what, and how often it is tried (spec sections 3 and 8). */
import { assert, describe, it } from "@effect/vitest"
import { DirectiveInState, NothingToComplete } from "../../src/actors/DirectiveCommand.ts"
import { created, directiveId, now, started } from "../support/directive.ts"
import { given } from "../support/given.ts"
import { type Scenario, scenario, step } from "../support/scenario.ts"

/** Idle, with its completion task waiting. */
const idle = (): Scenario => {
  const run = scenario()
  run.plan(step("a"), step("b", ["a"]))
  run.end("a", "completed")
  run.end("b", "completed")
  return run
}

const completions = (run: Scenario) =>
  run.events.filter((event) => event._tag === "TaskCreated" && event.kind === "completion").length

describe("Directive, completion", () => {
  it("begins when the directive is idle, with the branches of the completed steps", () => {
    const run = idle()
    const task = run.last("TaskCreated")
    const { plan, ...rest } = task
    assert.deepStrictEqual(rest, {
      _tag: "TaskCreated",
      taskId: run.task("PR").id,
      kind: "completion",
      name: "PR: Export invoices",
      description: "Directive PR completion task",
      repositoryUrl: "https://example.test/shop.git",
      baseBranch: "main",
      contents: [run.stepId("a"), run.stepId("b")],
      prBranch: "makima/directive-export-invoices-7b3c1f02",
      attempt: 1
    })
    assert.include(plan, "gh pr create")
    assert.strictEqual(run.state.prBranch, "makima/directive-export-invoices-7b3c1f02")
  })

  it("goes to a daemon although the directive is idle", () => {
    assert.deepStrictEqual(idle().waiting, ["PR: Export invoices"])
  })

  it("does not begin without a repository, and begins once there is one", () => {
    const run = scenario()
    run.send({ _tag: "UpdateDirective", repositoryUrl: null })
    run.plan(step("a"))
    run.end("a", "completed")
    assert.strictEqual(run.status, "idle")
    assert.strictEqual(completions(run), 0)
    run.send({ _tag: "UpdateDirective", repositoryUrl: "/srv/shop" })
    assert.strictEqual(completions(run), 1)
  })

  it("does not begin without a completed step", () => {
    const run = scenario()
    run.plan(step("a"), step("b"))
    run.end("a", "failed")
    run.send({ _tag: "SkipStep", stepId: run.stepId("b") })
    assert.strictEqual(run.status, "idle")
    assert.strictEqual(completions(run), 0)
  })

  it("leaves out failed and skipped steps", () => {
    const run = scenario()
    run.plan(step("a"), step("b"), step("c"))
    run.end("a", "failed")
    run.send({ _tag: "SkipStep", stepId: run.stepId("b") })
    run.end("c", "completed")
    assert.deepStrictEqual(run.last("TaskCreated").contents, [run.stepId("c")])
  })

  it("merges only what is new into a pull request that is known", () => {
    const run = idle()
    run.handOver("PR")
    run.send({ _tag: "UpdateDirective", prUrl: "https://example.test/pr/1" })
    run.report("PR", "completed")
    run.addSteps(step("c"))
    run.end("c", "completed")
    const task = run.last("TaskCreated")
    assert.deepStrictEqual(task.contents, [run.stepId("c")])
    assert.strictEqual(task.prBranch, "makima/directive-export-invoices-7b3c1f02")
    assert.notInclude(task.plan, "gh pr create")
    assert.include(task.plan, "https://example.test/pr/1")
  })

  it("starts from all steps again while no pull request is known", () => {
    const run = idle()
    run.end("PR", "completed")
    run.addSteps(step("c"))
    run.end("c", "completed")
    assert.strictEqual(run.last("TaskCreated").contents?.length, 3)
    run.end("PR", "completed")
    assert.strictEqual(run.state.unmerged, 0)
  })

  it("keeps the branch although the title changes", () => {
    const run = idle()
    run.end("PR", "completed")
    run.send({ _tag: "UpdateDirective", title: "Another title" })
    run.addSteps(step("c"))
    run.end("c", "completed")
    assert.strictEqual(run.last("TaskCreated").prBranch, "makima/directive-export-invoices-7b3c1f02")
  })

  it("runs on when the goal changes, and what came after it gets the next one", () => {
    const run = idle()
    run.handOver("PR")
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.plan(step("c"))
    run.end("c", "completed")
    assert.strictEqual(run.status, "idle")
    assert.strictEqual(completions(run), 1)
    run.report("PR", "completed")
    assert.strictEqual(completions(run), 2)
    assert.strictEqual(run.state.unmerged, 1)
  })
})

describe("Directive, stalled while its completion is in flight", () => {
  for (const isHandedOver of [false, true]) {
    it(isHandedOver ? "and under way" : "and waiting", () => {
      const run = idle()
      if (isHandedOver) run.handOver("PR")
      run.addSteps(step("c"), step("d", ["c"]))
      run.end("c", "failed")
      assert.strictEqual(run.status, "stalled")
      run.end("PR", "completed")
      assert.strictEqual(run.state.unmerged, 0)
    })
  }
})

describe("Directive, a completion that fails", () => {
  it("waits longer each time, and begins when it is due", () => {
    const run = idle()
    run.end("PR", "failed")
    assert.deepStrictEqual(run.last("CompletionDelayed"), {
      _tag: "CompletionDelayed",
      attempt: 1,
      until: now + 10_000,
      reason: "PR went wrong"
    })
    assert.strictEqual(run.dueAt, now + 10_000)
    assert.deepStrictEqual(run.pass(9_999), [])
    assert.deepStrictEqual(run.pass(1), ["TaskCreated"])
    assert.isUndefined(run.dueAt)
    run.end("PR", "failed")
    assert.strictEqual(run.dueAt, run.now + 20_000)
  })

  it("counts as the first attempt where something new came while it ran", () => {
    const run = idle()
    run.handOver("PR")
    run.addSteps(step("c"))
    run.end("c", "completed")
    run.report("PR", "failed")
    assert.strictEqual(run.last("CompletionDelayed").attempt, 1)
    assert.strictEqual(run.dueAt, run.now + 10_000)
  })

  it("wants no wake-up while the directive is active again or paused", () => {
    const run = idle()
    run.end("PR", "failed")
    run.send({ _tag: "PauseDirective" })
    assert.isUndefined(run.dueAt)
    run.send({ _tag: "ResumeDirective" })
    assert.strictEqual(run.dueAt, now + 10_000)
    run.addSteps(step("c"))
    assert.isUndefined(run.dueAt)
  })

  it("asks for attention in the end, and begins anew on command with all its attempts", () => {
    const run = idle()
    run.policy = { ...run.policy, completionAttemptsMax: 2 }
    const failTwice = () => {
      run.end("PR", "failed")
      run.pass(10_000)
      run.end("PR", "failed")
    }
    failTwice()
    const reason = "the pull request failed 2 times, the last time because PR went wrong"
    assert.strictEqual(run.state.attention, reason)
    assert.isUndefined(run.dueAt)
    assert.deepStrictEqual(run.pass(1_000_000), [])
    run.send({ _tag: "CompleteDirective" })
    assert.isUndefined(run.state.attention)
    failTwice()
    assert.strictEqual(completions(run), 4)
  })

  it("begins anew when a step completes or the directive is resumed", () => {
    const run = idle()
    run.policy = { ...run.policy, completionAttemptsMax: 1 }
    run.end("PR", "failed")
    run.addSteps(step("c"))
    run.end("c", "completed")
    assert.strictEqual(completions(run), 2)
    run.end("PR", "failed")
    run.send({ _tag: "PauseDirective" })
    run.send({ _tag: "ResumeDirective" })
    assert.strictEqual(completions(run), 3)
  })
})

describe("Directive, completion by command", () => {
  const stalled = () => {
    const run = scenario()
    run.plan(step("a"), step("b"), step("c", ["b"]))
    run.end("a", "completed")
    run.end("b", "failed")
    return run
  }

  it("opens the pull request although steps failed", () => {
    const run = stalled()
    assert.strictEqual(run.status, "stalled")
    assert.strictEqual(completions(run), 0)
    run.send({ _tag: "CompleteDirective" })
    assert.deepStrictEqual(run.last("TaskCreated").contents, [run.stepId("a")])
    assert.deepStrictEqual(run.send({ _tag: "CompleteDirective" }), [])
    run.end("PR", "completed")
    assert.strictEqual(run.status, "stalled")
  })

  it("is tried again in a stalled directive too", () => {
    const run = stalled()
    run.send({ _tag: "CompleteDirective" })
    run.end("PR", "failed")
    assert.strictEqual(run.dueAt, now + 10_000)
    run.pass(10_000)
    assert.strictEqual(completions(run), 2)
  })

  it("is refused where there is nothing to do it with", () => {
    given(created, started).when({ _tag: "CompleteDirective" }).thenRejects(
      new DirectiveInState({
        directiveId,
        status: "active",
        refused: "be completed: only an idle or stalled directive can"
      })
    )
    const run = idle()
    run.end("PR", "completed")
    given(...run.events).when({ _tag: "CompleteDirective" }).thenRejects(
      new NothingToComplete({ directiveId, because: "no completed step is missing from it" })
    )
    run.send({ _tag: "UpdateDirective", repositoryUrl: null })
    given(...run.events).when({ _tag: "CompleteDirective" }).thenRejects(
      new NothingToComplete({ directiveId, because: "it has no repository" })
    )
  })
})
