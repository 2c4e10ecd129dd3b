/** Tasks on their way: hand-overs and reports, of which each belongs to one (spec sections 4 and 8). */
import { assert, describe, it } from "@effect/vitest"
import { NotYourTask } from "../../src/actors/DirectiveCommand.ts"
import { daemonA, daemonB, now, unknownTask } from "../support/directive.ts"
import { given } from "../support/given.ts"
import { scenario, step } from "../support/scenario.ts"

const oneStep = () => {
  const run = scenario()
  run.plan(step("a"))
  return run
}

describe("Directive, handing over", () => {
  it("records the intent and counts the hand-overs of a task", () => {
    const run = oneStep()
    run.handOver("a")
    assert.deepStrictEqual(run.last("TaskHandedOver"), {
      _tag: "TaskHandedOver",
      taskId: run.task("a").id,
      handOver: 1,
      daemonId: daemonA
    })
    run.loseDaemon("a")
    run.handOver("a", daemonB)
    assert.strictEqual(run.last("TaskHandedOver").handOver, 2)
  })

  it("passes over tasks that are unknown, under way or ended", () => {
    const run = oneStep()
    run.handOver("a")
    assert.deepStrictEqual(run.handOver("a", daemonB), [])
    assert.deepStrictEqual(
      run.send({ _tag: "HandOver", assignments: [{ taskId: unknownTask, daemonId: daemonA }] }),
      []
    )
    run.report("a", "completed")
    assert.deepStrictEqual(run.handOver("a"), [])
  })

  it("takes one of two assignments of a task", () => {
    const run = oneStep()
    const taskId = run.task("a").id
    const assignments = [{ taskId, daemonId: daemonA }, { taskId, daemonId: daemonB }]
    assert.deepStrictEqual(run.send({ _tag: "HandOver", assignments }), ["TaskHandedOver"])
  })

  it("offers the tasks that wait in their order, each once", () => {
    const run = scenario()
    run.plan(step("a"), step("b"), step("c"))
    run.handOver("b")
    run.loseDaemon("b")
    assert.deepStrictEqual(run.waiting, ["a", "b", "c"])
  })
})

describe("Directive, a hand-over that came to nothing", () => {
  it("makes the task wait again, without that daemon for a while", () => {
    const run = oneStep()
    run.handOver("a")
    run.loseDaemon("a")
    assert.strictEqual(run.task("a").status, "pending")
    assert.deepStrictEqual(run.task("a").exclusions, [{ daemonId: daemonA, until: now + 30_000 }])
    assert.strictEqual(run.dueAt, now + 30_000)
    run.now += 30_000
    assert.isUndefined(run.dueAt)
  })

  it("asks for no wake-up once nothing waits", () => {
    const run = oneStep()
    run.handOver("a")
    run.loseDaemon("a")
    run.handOver("a", daemonB)
    assert.isUndefined(run.dueAt)
  })

  it("fails the task after the last of the hand-overs that the policy grants", () => {
    const run = oneStep()
    for (const _ of [1, 2]) {
      run.handOver("a")
      run.loseDaemon("a")
    }
    run.handOver("a")
    assert.deepStrictEqual(run.loseDaemon("a"), ["HandOverFailed", "TaskFailed", "StepFailed", "DirectiveIdled"])
    assert.strictEqual(
      run.step("a").failure,
      "handed over 3 times in vain, the last time because its daemon is lost"
    )
  })

  it("ends a task that was to be interrupted", () => {
    const run = oneStep()
    run.handOver("a")
    run.send({ _tag: "InterruptTask", taskId: run.task("a").id })
    assert.include(run.loseDaemon("a"), "TaskInterrupted")
  })

  it("is one that still counts: news of an older one change nothing", () => {
    const run = oneStep()
    run.handOver("a")
    run.loseDaemon("a")
    const late = { _tag: "FailHandOver", taskId: run.task("a").id, handOver: 1, reason: "again" } as const
    assert.deepStrictEqual(run.send(late), [])
    run.handOver("a", daemonB)
    assert.deepStrictEqual(run.send(late), [])
    run.report("a", "completed")
    assert.deepStrictEqual(run.send({ ...late, handOver: 2 }), [])
    assert.deepStrictEqual(run.send({ ...late, taskId: unknownTask }), [])
  })
})

describe("Directive, reports", () => {
  it("tell that a task is under way", () => {
    const run = oneStep()
    run.handOver("a")
    assert.deepStrictEqual(run.report("a", "starting"), ["StepStarted"])
    assert.deepStrictEqual(run.report("a", "running"), ["TaskStarted"])
    assert.deepStrictEqual(run.report("a", "running"), [])
    assert.deepStrictEqual(run.report("a", "starting"), [])
  })

  it("end a task and its step, with the reason of a failure", () => {
    const run = oneStep()
    run.handOver("a")
    run.report("a", "failed", { reason: "exit\0 status 1" })
    assert.strictEqual(run.step("a").failure, "exit status 1")
    assert.strictEqual(run.task("a").reason, "exit status 1")
  })

  it("mean the machine's newest hand-over where they do not say which", () => {
    const run = oneStep()
    run.handOver("a")
    run.loseDaemon("a")
    run.handOver("a")
    run.send({ _tag: "ReportTask", taskId: run.task("a").id, daemonId: daemonA, status: "completed" })
    assert.strictEqual(run.task("a").endedBy, 2)
  })

  it("that come twice change nothing the second time", () => {
    for (const status of ["completed", "failed", "interrupted"] as const) {
      const run = oneStep()
      run.handOver("a")
      run.report("a", status)
      assert.deepStrictEqual(run.report("a", status), [])
      assert.deepStrictEqual(run.report("a", "running"), [])
    }
  })

  it("of failure and interruption are the same news from one hand-over", () => {
    const run = oneStep()
    run.handOver("a")
    run.report("a", "interrupted")
    assert.deepStrictEqual(run.report("a", "failed"), [])
  })

  it("that contradict the end of their task are recorded once", () => {
    const run = oneStep()
    run.handOver("a")
    run.report("a", "completed")
    assert.deepStrictEqual(run.report("a", "failed"), ["ReportIgnored"])
    assert.strictEqual(run.last("ReportIgnored").because, "the task is completed")
    assert.deepStrictEqual(run.report("a", "failed"), [])
    assert.deepStrictEqual(run.statuses, { a: "completed" })
  })

  it("of a superseded hand-over are recorded once, unless they tell of success", () => {
    const run = oneStep()
    run.handOver("a")
    run.loseDaemon("a")
    run.handOver("a", daemonB)
    for (const status of ["running", "failed", "interrupted"] as const) {
      const stale = { daemonId: daemonA, handOver: 1 }
      assert.deepStrictEqual(run.report("a", status, stale), ["ReportIgnored"])
      assert.deepStrictEqual(run.report("a", status, stale), [])
    }
    assert.strictEqual(run.task("a").status, "starting")
    assert.include(run.report("a", "completed", { daemonId: daemonA, handOver: 1 }), "StepCompleted")
    assert.strictEqual(run.task("a").endedBy, 1)
    assert.deepStrictEqual(run.report("a", "completed"), ["ReportIgnored"])
  })

  it("of success count while the task waits for its next daemon", () => {
    const run = oneStep()
    run.handOver("a")
    run.loseDaemon("a")
    run.report("a", "completed")
    assert.deepStrictEqual(run.statuses, { a: "completed" })
    assert.notInclude(run.waiting, "a")
  })

  it("of success are too late once the task has ended, and the retried step has its own", () => {
    const run = oneStep()
    run.policy = { ...run.policy, handOversMax: 1 }
    run.handOver("a")
    const first = run.task("a").id
    run.loseDaemon("a")
    run.send({ _tag: "RetryStep", stepId: run.stepId("a") })
    const late = { _tag: "ReportTask", taskId: first, daemonId: daemonA, handOver: 1, status: "completed" } as const
    assert.deepStrictEqual(run.send(late), ["ReportIgnored"])
    assert.deepStrictEqual(run.send(late), [])
    assert.deepStrictEqual(run.statuses, { a: "ready" })
  })

  it("come only from a daemon that was given the task", () => {
    const run = oneStep()
    run.handOver("a")
    const taskId = run.task("a").id
    const refused = (daemonId: typeof daemonA, handOver?: number) =>
      given(...run.events)
        .when({ _tag: "ReportTask", taskId, daemonId, ...(handOver ? { handOver } : {}), status: "completed" })
        .thenRejects(new NotYourTask({ taskId, daemonId }))
    refused(daemonB)
    refused(daemonB, 1)
    refused(daemonA, 2)
    given(...run.events)
      .when({ _tag: "ReportTask", taskId: unknownTask, daemonId: daemonA, status: "completed" })
      .thenRejects(new NotYourTask({ taskId: unknownTask, daemonId: daemonA }))
  })

  it("keep a bounded reason", () => {
    const run = oneStep()
    run.handOver("a")
    run.report("a", "failed", { reason: "x".repeat(100_000) })
    assert.strictEqual(run.task("a").reason!.length, 4000)
  })
})
