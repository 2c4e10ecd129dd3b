/** What `makima run` shows where there is no terminal: a line a transition. Pure: `Progress.ts` prints it. */
import type * as Directive from "../actors/Directive.ts"
import { stepOf, taskOf } from "../actors/DirectiveState.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { DaemonId, StepId, TaskId } from "../events/Ids.ts"
import { briefly, clean, quoted } from "./OneLine.ts"

/** Names a daemon for people. */
export type Hostnames = (daemonId: DaemonId) => string

/** What a task is called beside its directive, whose title everybody knows by then. */
export const nameOfTask = (state: Directive.State, task: Directive.Task): string => {
  switch (task.kind) {
    case "planning":
      return task.name.startsWith("Re-plan: ") ? "Re-plan" : "Plan"
    case "completion":
      return "Pull request"
    case "step":
      return task.stepId === undefined ? task.name : stepOf(state, task.stepId)?.name ?? task.name
  }
}

/** The line of an event, in the state that it leads to; undefined for events that are no transition to people. */
export const transition = (
  event: DirectiveEvent,
  state: Directive.State,
  hostnames: Hostnames
): string | undefined => {
  const step = (stepId: StepId, change: string) => `step ${quoted(stepOf(state, stepId)?.name ?? stepId)}: ${change}`
  const task = (taskId: TaskId, change: string) => {
    const found = taskOf(state, taskId)
    return `task ${quoted(found === undefined ? taskId : nameOfTask(state, found))}: ${change}`
  }
  switch (event._tag) {
    case "DirectiveStarted":
      return "directive: draft → active"
    case "DirectiveResumed":
    case "DirectiveReactivated":
      return "directive: → active"
    case "DirectivePaused":
      return `directive: → paused: ${briefly(event.reason)}`
    case "DirectiveIdled":
      return "directive: active → idle: every step has ended"
    case "DirectiveStalled":
      return `directive: active → stalled: ${event.failed.length} failed, ${event.blocked} blocked`
    case "DirectiveArchived":
      return "directive: → archived"
    case "DirectiveRemoved":
      return "directive: → removed"
    case "GoalChanged":
      return `goal changed (revision ${event.revision})`
    case "PlanAccepted":
      return `plan accepted: ${event.steps} ${event.steps === 1 ? "step" : "steps"}`
    case "StepReadied":
      return step(event.stepId, "pending → ready")
    case "StepStarted":
      return step(event.stepId, "ready → running")
    case "StepCompleted":
      return step(event.stepId, "running → completed")
    case "StepFailed":
      return step(event.stepId, `running → failed: ${briefly(event.reason)}`)
    case "StepSkipped":
      return step(event.stepId, "→ skipped")
    case "StepRetried":
      return step(event.stepId, "failed → pending")
    case "TaskHandedOver":
      return task(event.taskId, `pending → starting on ${clean(hostnames(event.daemonId))}`)
    case "HandOverFailed":
      return task(event.taskId, `→ pending: ${briefly(event.reason)}`)
    case "TaskStarted":
      return task(event.taskId, "starting → running")
    case "TaskCompleted":
      return task(event.taskId, "running → completed")
    case "TaskFailed": {
      // The step that fails with it, or the directive that is paused, says why.
      const kind = taskOf(state, event.taskId)?.kind
      return task(event.taskId, kind === "completion" ? `→ failed: ${briefly(event.reason)}` : "→ failed")
    }
    case "TaskInterrupted":
      return task(event.taskId, `→ interrupted: ${briefly(event.reason)}`)
    case "CompletionDelayed":
      return `pull request: attempt ${event.attempt} failed, trying again soon`
    case "AttentionNeeded":
      return `directive needs attention: ${briefly(event.reason)}`
    case "DirectiveUpdated":
      return event.prUrl === undefined ? undefined : `pull request: ${clean(event.prUrl)}`
    default:
      return undefined
  }
}
