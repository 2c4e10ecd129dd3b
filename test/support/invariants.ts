/**
 * What holds for a directive after every event: the invariants of spec section 10 that are about one stream, and the
 * counts of the state against a recount from scratch. It does not check that anything useful happens.
 */
import { assert } from "@effect/vitest"
import { HashMap } from "effect"
import type { State, Step } from "../../src/actors/Directive.ts"
import { isOpen, stepOf, taskOf } from "../../src/actors/DirectiveState.ts"
import { frontier, isFinished } from "../../src/actors/internal/dag.ts"
import { iterate, values } from "../../src/actors/internal/fifo.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"

export const checkEvent = (before: State, event: DirectiveEvent, after: State): void => {
  assert.strictEqual(after.version, before.version + 1)
  switch (event._tag) {
    case "TaskHandedOver": {
      const task = taskOf(before, event.taskId)!
      assert.strictEqual(task.status, "pending", "only a task without a daemon is handed over")
      assert.strictEqual(event.handOver, task.handOvers.length + 1)
      if (task.stepId !== undefined) checkMayStart(before, stepOf(before, task.stepId)!)
      break
    }
    case "TaskCreated":
      if (event.kind === "planning") assert.isUndefined(before.planningTaskId, "one planning task at a time")
      if (event.kind === "completion") assert.isUndefined(before.completionTaskId, "one completion task at a time")
      break
    case "TaskCompleted":
    case "TaskFailed":
    case "TaskInterrupted":
      assert.isTrue(isOpen(taskOf(before, event.taskId)!), "a task ends once")
      break
    case "StepCompleted":
    case "StepFailed":
    case "StepSkipped":
      assert.isFalse(isFinished(stepOf(before, event.stepId)!), "a finished step stays as it is")
      break
    default:
  }
  checkState(after)
}

/** Invariant 1. A plan that is still being made holds nothing up, so drafts do not count. */
const checkMayStart = (state: State, step: Step): void => {
  for (const id of step.dependsOn) assert.isTrue(isFinished(stepOf(state, id)!), "its dependencies are finished")
  for (const other of HashMap.values(state.steps)) {
    if (other.draft || other.orderIndex >= step.orderIndex) continue
    assert.isTrue(isFinished(other), "all lower orderIndexes are finished")
  }
}

const checkState = (state: State): void => {
  const steps = HashMap.toValues(state.steps)
  const tasks = HashMap.toValues(state.tasks)
  const counts = { pending: 0, ready: 0, running: 0, completed: 0, failed: 0, skipped: 0 }
  for (const step of steps) if (!step.draft) counts[step.status] += 1
  assert.deepStrictEqual(state.dag.counts, counts)
  assert.strictEqual(state.stepCount, steps.length)
  assert.strictEqual(state.unmerged, steps.filter((step) => step.status === "completed" && !step.merged).length)
  assert.strictEqual(state.openTasks, tasks.filter(isOpen).length)
  const open = steps.filter((step) => !step.draft && !isFinished(step))
  assert.strictEqual(frontier(state.dag), Math.min(...open.map((step) => step.orderIndex)))
  for (const step of open) {
    const unfinished = step.dependsOn.filter((id) => !isFinished(stepOf(state, id)!))
    assert.strictEqual(step.waitingOn, unfinished.length)
  }
  const drafts = new Set(iterate(state.drafts))
  for (const step of steps) if (step.draft) assert.isTrue(drafts.has(step.id))
  const queue = new Set(values(state.waiting))
  for (const task of tasks) {
    if (task.status === "pending") assert.isTrue(queue.has(task.id), "a task without a daemon is in the queue")
    const live = task.handOvers.filter((one) => !one.failed)
    assert.isAtMost(live.length, 1, "one hand-over of a task is current")
  }
  assert.isAtMost(tasks.filter((task) => isOpen(task) && task.kind === "planning").length, 1)
  assert.isAtMost(tasks.filter((task) => isOpen(task) && task.kind === "completion").length, 1)
}

/** What holds between two commands: nothing that could happen by itself is left undone. */
export const checkSettled = (state: State): void => {
  const steps = HashMap.toValues(state.steps)
  const has = (...statuses: ReadonlyArray<string>) =>
    steps.some((step) => !step.draft && statuses.includes(step.status))
  switch (state.status) {
    case "active":
      assert.isAbove(state.openTasks, 0, "an active directive has something under way")
      for (const step of steps) if (step.status === "ready") assert.isDefined(step.taskId)
      break
    case "idle":
      assert.isFalse(has("pending", "ready", "running"), "all steps of an idle directive are terminal")
      break
    case "stalled":
      assert.isTrue(has("failed"), "something that failed holds a stalled directive up")
      break
    default:
  }
  if (state.status === "idle" || state.status === "stalled") {
    assert.isFalse(steps.some((step) => step.draft), "no step is forgotten in a plan that failed")
  }
}
