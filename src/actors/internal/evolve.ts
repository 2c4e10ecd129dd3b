/**
 * How each event changes the state of a directive. Pure, and never fails: the facts have already happened.
 *
 * An event copies the state once; what is below then writes into that copy, which nobody else has seen yet. Copying at
 * every level of the helpers halves the speed of a fold.
 */
import { HashMap } from "effect"
import type { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import type { StepId, TaskId } from "../../events/Ids.ts"
import type { StepStatus } from "../DirectiveCommand.ts"
import { answersMax, empty, isTaskless, type State, type Step, stepOf, type Task, taskOf } from "../DirectiveState.ts"
import { answeredBy } from "./answers.ts"
import * as Dag from "./dag.ts"
import { dropWhile, iterate, push, reversed } from "./fifo.ts"

type Next = { -readonly [Field in keyof State]: State[Field] }
type EventOf<Tag extends DirectiveEvent["_tag"]> = Extract<DirectiveEvent, { _tag: Tag }>

export const evolve = (state: State, event: DirectiveEvent): State => {
  const next: Next = { ...state }
  next.version += 1
  switch (event._tag) {
    case "DirectiveCreated":
      next.id = event.directiveId
      next.ownerId = event.ownerId
      next.title = event.title
      next.goal = event.goal
      next.goalRevision = 1
      next.repositoryUrl = event.repositoryUrl
      next.baseBranch = event.baseBranch
      next.memoryEnabled = event.memoryEnabled
      return next
    case "DirectiveStarted":
    case "DirectiveReactivated":
      next.status = "active"
      return next
    case "DirectiveResumed":
      next.status = "active"
      next.pausedBecause = undefined
      // Whoever resumes has looked at what went wrong: the completion gets its attempts again.
      next.completionAttempts = 0
      next.attention = undefined
      return next
    case "DirectivePaused":
      next.status = "paused"
      next.pausedBecause = event.reason
      return next
    case "DirectiveIdled":
      next.status = "idle"
      return next
    case "DirectiveStalled":
      next.status = "stalled"
      next.stalledBy = { failed: event.failed, blocked: event.blocked }
      return next
    case "DirectiveArchived":
      next.status = "archived"
      next.completionDueAt = undefined
      return next
    case "DirectiveRemoved":
      return directiveRemoved(state.stream, event)
    case "DirectiveUpdated":
      return directiveUpdated(next, event)
    case "GoalChanged":
      next.goal = event.goal
      next.goalRevision = event.revision
      return rested(next)
    case "StepAdded":
      return stepAdded(next, event)
    case "PlanAccepted":
      return planAccepted(next, event.revision)
    case "StepReadied":
      next.taskless = push(next.taskless, event.stepId)
      return stepMoved(next, event.stepId, { status: "ready" })
    case "StepStarted":
      return stepMoved(next, event.stepId, { status: "running" })
    case "StepCompleted":
      next.unmerged += 1
      return stepFinished(rested(next), event.stepId, "completed")
    case "StepSkipped":
      if (next.planningTaskId !== undefined) next.skippedByPlan += 1
      return stepFinished(next, event.stepId, "skipped")
    case "StepFailed":
      return stepMoved(next, event.stepId, { status: "failed", failure: event.reason })
    case "StepRetried": {
      stepMoved(next, event.stepId, { status: "pending", taskId: undefined, failure: undefined })
      next.dag = Dag.freed(next.dag, stepOf(next, event.stepId)!)
      return next
    }
    case "TaskCreated":
      return taskCreated(next, event)
    case "TaskHandedOver":
      return taskHandedOver(next, event)
    case "HandOverFailed":
      return handOverFailed(next, event)
    case "TaskStarted":
      return changeTask(next, taskOf(next, event.taskId)!, { status: "running" })
    case "InterruptRequested":
      return changeTask(next, taskOf(next, event.taskId)!, { interrupting: true })
    case "TaskCompleted":
      return taskEnded(next, event.taskId, "completed", event.handOver, undefined)
    case "TaskFailed":
      return taskEnded(next, event.taskId, "failed", event.handOver, event.reason)
    case "TaskInterrupted":
      return taskEnded(next, event.taskId, "interrupted", event.handOver, event.reason)
    case "ReportIgnored":
      return reportIgnored(next, event)
    case "CompletionDelayed":
      next.completionAttempts = event.attempt
      next.completionDueAt = event.until
      return next
    case "AttentionNeeded":
      next.attention = event.reason
      next.completionDueAt = undefined
      return next
    case "MemorySet": {
      const { _tag, ...memory } = event
      next.memories = HashMap.set(next.memories, event.key, memory)
      return next
    }
    case "MemoryRemoved":
      next.memories = HashMap.remove(next.memories, event.key)
      return next
    case "CommandAnswered":
      return commandAnswered(next, event)
  }
}

/** Something new has come: earlier failures of the completion count no more. */
const rested = (next: Next): Next => {
  next.completionAttempts = 0
  next.completionDueAt = undefined
  next.attention = undefined
  return next
}

/** The same whether what came before is still in the log or not. */
const directiveRemoved = (stream: string, event: EventOf<"DirectiveRemoved">): State => ({
  ...empty(stream),
  version: event.version + 1,
  id: event.directiveId,
  ownerId: event.ownerId,
  status: "archived",
  removed: event.exported
})

const directiveUpdated = (next: Next, event: EventOf<"DirectiveUpdated">): State => {
  next.title = event.title ?? next.title
  if (event.repositoryUrl !== undefined) next.repositoryUrl = event.repositoryUrl || undefined
  next.baseBranch = event.baseBranch ?? next.baseBranch
  next.memoryEnabled = event.memoryEnabled ?? next.memoryEnabled
  next.prUrl = event.prUrl ?? next.prUrl
  return next
}

const commandAnswered = (next: Next, event: EventOf<"CommandAnswered">): State => {
  const { commandId } = event
  next.answers = HashMap.set(next.answers, commandId, answeredBy(event))
  next.answered = push(next.answered, commandId)
  const oldest = next.answered.front!.head
  if (HashMap.size(next.answers) <= answersMax) return next
  next.answers = HashMap.remove(next.answers, oldest)
  next.answered = dropWhile(next.answered, (key) => key === oldest)
  return next
}

// Steps

const stepMoved = (next: Next, stepId: StepId, change: Partial<Step> & { readonly status: StepStatus }): State => {
  const before = stepOf(next, stepId)!
  next.steps = HashMap.set(next.steps, stepId, { ...before, ...change })
  next.dag = Dag.moved(next.dag, next.steps, before, change.status)
  return next
}

/** A step is completed or skipped: whatever waited for it waits for one less. */
const stepFinished = (next: Next, stepId: StepId, status: "completed" | "skipped"): State => {
  const before = stepOf(next, stepId)!
  const failure = status === "completed" ? undefined : before.failure
  next.steps = HashMap.set(next.steps, stepId, { ...before, status, failure, draft: false, dependents: undefined })
  const { dag, steps } = Dag.finished(next.dag, next.steps, before, status)
  next.dag = dag
  next.steps = steps
  return next
}

const stepAdded = (next: Next, event: EventOf<"StepAdded">): State => {
  const step: Step = {
    id: event.stepId,
    sequence: next.stepCount,
    name: event.name,
    description: event.description,
    taskPlan: event.taskPlan,
    dependsOn: event.dependsOn,
    orderIndex: event.orderIndex,
    generation: event.generation,
    status: "pending",
    draft: event.plannedBy !== undefined,
    waitingOn: 0,
    dependents: undefined,
    taskId: undefined,
    failure: undefined,
    merged: false
  }
  next.stepCount += 1
  next.generation = Math.max(next.generation, event.generation)
  if (step.draft) {
    next.steps = HashMap.set(next.steps, step.id, step)
    next.drafts = { head: step.id, tail: next.drafts }
    next.addedByPlan += 1
    return next
  }
  // Steps that somebody gave without a plan are the plan of the goal as it is.
  if (next.plannedRevision === 0 && !next.planFailed) next.plannedRevision = next.goalRevision
  return enter(next, step)
}

const enter = (next: Next, step: Step): State => {
  const { dag, steps } = Dag.entered(next.dag, next.steps, step)
  next.dag = dag
  next.steps = steps
  return next
}

const planAccepted = (next: Next, revision: number): State => {
  for (const id of iterate(reversed(next.drafts))) {
    const step = stepOf(next, id)!
    // One that was skipped meanwhile is no draft any more.
    if (step.draft) enter(next, step)
  }
  next.drafts = undefined
  next.plannedRevision = revision
  return next
}

// Tasks

const changeTask = (next: Next, task: Task, change: Partial<Task>): State => {
  next.tasks = HashMap.set(next.tasks, task.id, { ...task, ...change })
  return next
}

const taskCreated = (next: Next, event: EventOf<"TaskCreated">): State => {
  const task: Task = {
    id: event.taskId,
    kind: event.kind,
    name: event.name,
    plan: event.plan,
    repositoryUrl: event.repositoryUrl,
    baseBranch: event.baseBranch,
    completionAction: event.completionAction,
    continueFromTaskId: event.continueFromTaskId,
    stepId: event.stepId,
    revision: event.revision ?? 0,
    generation: event.generation ?? 0,
    contents: event.contents ?? [],
    status: "pending",
    handOvers: [],
    exclusions: [],
    interrupting: false,
    endedBy: undefined,
    reason: undefined
  }
  next.tasks = HashMap.set(next.tasks, task.id, task)
  next.waiting = push(next.waiting, task.id)
  next.openTasks += 1
  switch (event.kind) {
    case "planning":
      next.planningTaskId = task.id
      next.addedByPlan = 0
      next.skippedByPlan = 0
      return next
    case "completion":
      next.completionTaskId = task.id
      next.prBranch = event.prBranch ?? next.prBranch
      next.completionAttempts = event.attempt ?? 1
      next.completionDueAt = undefined
      next.attention = undefined
      return next
    case "step":
      next.steps = HashMap.set(next.steps, event.stepId!, { ...stepOf(next, event.stepId!)!, taskId: task.id })
      next.taskless = dropWhile(next.taskless, (id) => id === event.stepId || !isTaskless(next, id))
      return next
  }
}

const taskHandedOver = (next: Next, { daemonId, handOver, taskId }: EventOf<"TaskHandedOver">): State => {
  const task = taskOf(next, taskId)!
  const handOvers = [...task.handOvers, { handOver, daemonId, failed: false, ignored: [] }]
  changeTask(next, task, { status: "starting", handOvers })
  return settle(next)
}

const handOverFailed = (next: Next, event: EventOf<"HandOverFailed">): State => {
  const task = taskOf(next, event.taskId)!
  changeTask(next, task, {
    status: "pending",
    handOvers: task.handOvers.map((one) => one.handOver === event.handOver ? { ...one, failed: true } : one),
    exclusions: [
      ...task.exclusions.filter((one) => one.daemonId !== event.daemonId),
      { daemonId: event.daemonId, until: event.excludedUntil }
    ]
  })
  next.waiting = push(next.waiting, event.taskId)
  next.excludedUntil = Math.max(next.excludedUntil, event.excludedUntil)
  return next
}

const taskEnded = (
  next: Next,
  taskId: TaskId,
  status: "completed" | "failed" | "interrupted",
  endedBy: number | undefined,
  reason: string | undefined
): State => {
  const task = taskOf(next, taskId)!
  changeTask(next, task, { status, endedBy, reason, plan: "", interrupting: false })
  next.openTasks -= 1
  if (next.planningTaskId === taskId) {
    next.planningTaskId = undefined
    next.planFailed = status !== "completed"
  }
  if (next.completionTaskId === taskId) {
    next.completionTaskId = undefined
    if (status === "completed") merged(next, task.contents)
  }
  return task.status === "pending" ? settle(next) : next
}

const reportIgnored = (next: Next, { handOver, report, taskId }: EventOf<"ReportIgnored">): State => {
  const task = taskOf(next, taskId)!
  const handOvers = task.handOvers.map((one) =>
    one.handOver === handOver ? { ...one, ignored: [...one.ignored, report] } : one
  )
  return changeTask(next, task, { handOvers })
}

/** Tasks that do not wait any more leave when they come to the front. */
const settle = (next: Next): State => {
  next.waiting = dropWhile(next.waiting, (id) => taskOf(next, id)!.status !== "pending")
  return next
}

/** A completion that went well has put its steps into the pull request. */
const merged = (next: Next, contents: Task["contents"]): State => {
  for (const stepId of contents) {
    const step = stepOf(next, stepId)!
    if (step.merged) continue
    next.unmerged -= 1
    next.steps = HashMap.set(next.steps, stepId, { ...step, merged: true })
  }
  return rested(next)
}
