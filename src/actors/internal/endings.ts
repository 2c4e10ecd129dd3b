/**
 * Tasks on their way to a daemon and to their end: hand-overs, reports, and what an ending means for what it was for.
 *
 * A report belongs to a hand-over, and a task ends once (spec section 8).
 */
import { Result } from "effect"
import type { DaemonId, TaskId } from "../../events/Ids.ts"
import { NotYourTask, type Report } from "../DirectiveCommand.ts"
import { currentHandOver, isOpen, type State, stepOf, type Task, taskOf } from "../DirectiveState.ts"
import type { Draft } from "./draft.ts"
import { iterate } from "./fifo.ts"
import { canGoOut } from "./phases.ts"

/** A task that no daemon has ends at once; the others end when their daemon says so. */
export const stopTask = (draft: Draft, task: Task, reason: string): void => {
  if (task.status === "pending") endTask(draft, task, "interrupted", undefined, reason)
  else if (!task.interrupting) draft.record({ _tag: "InterruptRequested", taskId: task.id })
}

export const handOver = (
  draft: Draft,
  assignments: ReadonlyArray<{ readonly taskId: TaskId; readonly daemonId: DaemonId }>
): Result.Result<void, NotYourTask> => {
  for (const { daemonId, taskId } of assignments) {
    const task = taskOf(draft.state, taskId)
    if (task === undefined || !canGoOut(draft.state, task)) continue
    draft.record({ _tag: "TaskHandedOver", taskId, handOver: task.handOvers.length + 1, daemonId })
  }
  return Result.succeed(undefined)
}

export const failHandOver = (
  draft: Draft,
  { handOver, reason, taskId }: { readonly taskId: TaskId; readonly handOver: number; readonly reason: string }
): Result.Result<void, NotYourTask> => {
  const task = taskOf(draft.state, taskId)
  const current = task === undefined || !isOpen(task) ? undefined : currentHandOver(task)
  // It speaks of a hand-over that is over: there is nothing left to take back.
  if (task === undefined || current === undefined || current.handOver !== handOver) return Result.succeed(undefined)
  const { now, policy } = draft.context
  draft.record({
    _tag: "HandOverFailed",
    taskId,
    handOver,
    daemonId: current.daemonId,
    reason,
    excludedUntil: now + policy.exclusionMillis
  })
  if (task.interrupting) endTask(draft, task, "interrupted", undefined, reason)
  else if (handOver >= policy.handOversMax) {
    endTask(draft, task, "failed", undefined, `handed over ${handOver} times in vain, the last time because ${reason}`)
  }
  return Result.succeed(undefined)
}

export const report = (
  draft: Draft,
  { daemonId, handOver, reason, status, taskId }: Report
): Result.Result<void, NotYourTask> => {
  const task = taskOf(draft.state, taskId)
  const refuse = () => Result.fail(new NotYourTask({ taskId, daemonId }))
  if (task === undefined) return refuse()
  const its = handOver === undefined
    ? task.handOvers.findLast((one) => one.daemonId === daemonId)
    : task.handOvers.find((one) => one.handOver === handOver && one.daemonId === daemonId)
  if (its === undefined) return refuse()
  const isCurrent = currentHandOver(task)?.handOver === its.handOver
  if (isOpen(task) && (isCurrent || status === "completed")) {
    switch (status) {
      case "starting":
        markRunning(draft, task)
        return Result.succeed(undefined)
      case "running":
        if (task.status !== "running") draft.record({ _tag: "TaskStarted", taskId, handOver: its.handOver })
        markRunning(draft, task)
        return Result.succeed(undefined)
      default:
        endTask(draft, task, status, its.handOver, storable(reason ?? status))
        return Result.succeed(undefined)
    }
  }
  // A daemon that repeats itself says nothing new; anything else that is stale is kept for whoever looks back.
  const isSaid = task.endedBy === its.handOver && (isProgress(status) || isSuccess(status) === isSuccess(task.status))
  if (!isSaid && !its.ignored.includes(status)) {
    const because = isOpen(task) ? "the task is not this hand-over's any more" : `the task is ${task.status}`
    draft.record({ _tag: "ReportIgnored", taskId, handOver: its.handOver, daemonId, report: status, because })
  }
  return Result.succeed(undefined)
}

const isProgress = (status: string): boolean => status === "starting" || status === "running"
const isSuccess = (status: string): boolean => status === "completed"

/** What an agent or a daemon gives as a reason may be anything; what is kept is bounded and has no NUL. */
const storable = (reason: string): string => reason.replaceAll("\0", "").slice(0, 4000)

/** The daemon has said that it has the task: its step is really under way. */
const markRunning = (draft: Draft, task: Task): void => {
  if (task.stepId === undefined || stepOf(draft.state, task.stepId)?.status !== "ready") return
  draft.record({ _tag: "StepStarted", stepId: task.stepId, taskId: task.id })
}

/** Ends a task, once, and draws the consequences for what it was for. */
const endTask = (
  draft: Draft,
  task: Task,
  outcome: "completed" | "failed" | "interrupted",
  handOver: number | undefined,
  reason: string
): void => {
  const by = handOver === undefined ? {} : { handOver }
  if (outcome === "completed") draft.record({ _tag: "TaskCompleted", taskId: task.id, handOver: handOver! })
  else if (outcome === "failed") draft.record({ _tag: "TaskFailed", taskId: task.id, ...by, reason })
  else draft.record({ _tag: "TaskInterrupted", taskId: task.id, ...by, reason })
  switch (task.kind) {
    case "step":
      return endStep(draft, task, outcome === "completed", reason)
    case "planning":
      return endPlanning(draft, task, outcome === "completed", reason)
    case "completion":
      return endCompletion(draft, outcome === "completed", reason)
  }
}

const endStep = (draft: Draft, task: Task, success: boolean, reason: string): void => {
  const stepId = task.stepId!
  // A step may have been given up while its late task still ran.
  if (stepOf(draft.state, stepId)?.taskId !== task.id) return
  if (success) {
    markRunning(draft, task)
    draft.record({ _tag: "StepCompleted", stepId, taskId: task.id })
  } else {
    draft.record({ _tag: "StepFailed", stepId, taskId: task.id, reason })
  }
}

const endPlanning = (draft: Draft, task: Task, success: boolean, reason: string): void => {
  const { state } = draft
  if (state.status === "archived") return
  if (!success) {
    draft.record({ _tag: "DirectivePaused", reason: `planning failed: ${reason}` })
    return
  }
  const isEmpty = state.addedByPlan + state.skippedByPlan === 0 && !hasDrafts(state)
  // With no step at all there is nothing to go on with: the next resume plans again.
  if (!isEmpty || state.stepCount > 0) {
    draft.record({ _tag: "PlanAccepted", taskId: task.id, revision: task.revision, steps: state.addedByPlan })
  }
  if (isEmpty) {
    const plan = state.stepCount > 0 ? `the plan for revision ${task.revision} of the goal` : "the plan"
    draft.record({ _tag: "DirectivePaused", reason: `${plan} added no steps` })
  }
}

/** Whether an earlier plan, which failed, has left steps that this one takes over. */
const hasDrafts = (state: State): boolean =>
  [...iterate(state.drafts)].some((stepId) => stepOf(state, stepId)?.draft === true)

const endCompletion = (draft: Draft, success: boolean, reason: string): void => {
  if (success || draft.state.status === "archived") return
  const { now, policy } = draft.context
  // The count began anew if something new came while it ran; this attempt is the first one then.
  const completionAttempts = Math.max(1, draft.state.completionAttempts)
  if (completionAttempts >= policy.completionAttemptsMax) {
    draft.record({
      _tag: "AttentionNeeded",
      reason: `the pull request failed ${completionAttempts} times, the last time because ${reason}`
    })
    return
  }
  const until = now + policy.completionDelayMillis * 2 ** (completionAttempts - 1)
  draft.record({ _tag: "CompletionDelayed", attempt: completionAttempts, until, reason })
}
