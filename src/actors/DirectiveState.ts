/**
 * The state of a directive and how each event changes it. Pure, and never fails: the facts have already happened.
 *
 * Everything here is persistent, and the DAG is kept as counts and lists (`internal/dag.ts`), so that one event costs
 * what it concerns and not what the directive holds.
 */
import { HashMap, Option } from "effect"
import type { DirectiveEvent, TaskKind } from "../events/DirectiveEvent.ts"
import type { DaemonId, DirectiveId, OwnerId, StepId, TaskId } from "../events/Ids.ts"
import type { DirectiveAnswer, DirectiveStatus, Memory, StepStatus, TaskStatus } from "./DirectiveCommand.ts"
import * as Dag from "./internal/dag.ts"
import { dropWhile, emptyFifo, type Fifo, iterate, type List, push } from "./internal/fifo.ts"

export interface Step {
  readonly id: StepId
  /** The order in which steps were added, from 0. */
  readonly sequence: number
  readonly name: string
  readonly description: string | undefined
  readonly taskPlan: string | undefined
  readonly dependsOn: ReadonlyArray<StepId>
  readonly orderIndex: number
  readonly generation: number
  readonly status: StepStatus
  /** Added by a plan that has not ended well (yet): it takes no part in the DAG. */
  readonly draft: boolean
  /** How many of its dependencies are neither completed nor skipped. Meaningless while `draft`. */
  readonly waitingOn: number
  readonly taskId: TaskId | undefined
  readonly failure: string | undefined
  /** Its branch is in the pull request. */
  readonly merged: boolean
}

export interface HandOver {
  readonly handOver: number
  readonly daemonId: DaemonId
  /** It came to nothing: the daemon does not have the task (any more). */
  readonly failed: boolean
  /** The stale reports of it that are in the log already. */
  readonly ignored: ReadonlyArray<string>
}

export interface Task {
  readonly id: TaskId
  readonly kind: TaskKind
  readonly name: string
  /** The prompt; empty once the task has ended, since nobody needs it any more. */
  readonly plan: string
  readonly repositoryUrl: string | undefined
  readonly baseBranch: string | undefined
  readonly completionAction: "branch" | undefined
  readonly continueFromTaskId: TaskId | undefined
  readonly stepId: StepId | undefined
  readonly revision: number
  readonly generation: number
  readonly contents: ReadonlyArray<StepId>
  readonly status: TaskStatus
  readonly handOvers: ReadonlyArray<HandOver>
  /** Daemons that just failed to take it, and until when (milliseconds since 1970) they are left out. */
  readonly exclusions: ReadonlyArray<{ readonly daemonId: DaemonId; readonly until: number }>
  readonly interrupting: boolean
  readonly endedBy: number | undefined
  readonly reason: string | undefined
}

export interface State {
  readonly stream: string
  /** The version of the last event. */
  readonly version: number
  /** Undefined before DirectiveCreated. */
  readonly id: DirectiveId | undefined
  readonly ownerId: OwnerId
  readonly title: string
  readonly goal: string
  readonly goalRevision: number
  /** The goal's revision that the steps in place were made for; 0 before any plan. */
  readonly plannedRevision: number
  readonly repositoryUrl: string | undefined
  readonly baseBranch: string
  readonly memoryEnabled: boolean
  readonly status: DirectiveStatus
  /** Why it is paused. */
  readonly pausedBecause: string | undefined
  readonly prUrl: string | undefined
  readonly prBranch: string | undefined
  readonly generation: number
  readonly steps: HashMap.HashMap<StepId, Step>
  readonly stepCount: number
  readonly dag: Dag.Dag
  /** Steps of plans that have not ended well, newest first, and those added since the plan in flight began. */
  readonly drafts: List<StepId>
  readonly addedByPlan: number
  readonly skippedByPlan: number
  /** Ready steps that have no task yet, because the directive was not active. */
  readonly taskless: Fifo<StepId>
  readonly tasks: HashMap.HashMap<TaskId, Task>
  /** Tasks that wait for a daemon, in the order in which they go out. Ended ones leave when they come to the front. */
  readonly waiting: Fifo<TaskId>
  readonly openTasks: number
  /** When the latest exclusion of a daemon from a waiting task ends; 0 before any. */
  readonly excludedUntil: number
  readonly planningTaskId: TaskId | undefined
  readonly completionTaskId: TaskId | undefined
  /** Completed steps whose branches are not in the pull request. */
  readonly unmerged: number
  readonly completionAttempts: number
  /** Set while a failed completion waits for its next attempt: milliseconds since 1970. */
  readonly completionDueAt: number | undefined
  readonly attention: string | undefined
  readonly memories: HashMap.HashMap<string, Memory>
  /** Answers to commands that carried an idempotency key, oldest first. */
  readonly answers: ReadonlyMap<string, DirectiveAnswer>
}

/** How many idempotency keys a directive remembers. */
export const answersMax = 100

export const empty = (stream: string): State => ({
  stream,
  version: 0,
  id: undefined,
  ownerId: "" as OwnerId,
  title: "",
  goal: "",
  goalRevision: 0,
  plannedRevision: 0,
  repositoryUrl: undefined,
  baseBranch: "main",
  memoryEnabled: false,
  status: "draft",
  pausedBecause: undefined,
  prUrl: undefined,
  prBranch: undefined,
  generation: 0,
  steps: HashMap.empty(),
  stepCount: 0,
  dag: Dag.empty,
  drafts: undefined,
  addedByPlan: 0,
  skippedByPlan: 0,
  taskless: emptyFifo,
  tasks: HashMap.empty(),
  waiting: emptyFifo,
  openTasks: 0,
  excludedUntil: 0,
  planningTaskId: undefined,
  completionTaskId: undefined,
  unmerged: 0,
  completionAttempts: 0,
  completionDueAt: undefined,
  attention: undefined,
  memories: HashMap.empty(),
  answers: new Map()
})

export const stepOf = (state: State, stepId: StepId): Step | undefined =>
  Option.getOrUndefined(HashMap.get(state.steps, stepId))

export const taskOf = (state: State, taskId: TaskId): Task | undefined =>
  Option.getOrUndefined(HashMap.get(state.tasks, taskId))

export const isOpen = (task: Task): boolean =>
  task.status === "pending" || task.status === "starting" || task.status === "running"

/** The hand-over that counts: the latest one, unless it came to nothing. */
export const currentHandOver = (task: Task): HandOver | undefined => {
  const last = task.handOvers.at(-1)
  return last === undefined || last.failed ? undefined : last
}

export const evolve = (previous: State, event: DirectiveEvent): State => {
  const state: State = { ...previous, version: previous.version + 1 }
  switch (event._tag) {
    case "DirectiveCreated":
      return {
        ...state,
        id: event.directiveId,
        ownerId: event.ownerId,
        title: event.title,
        goal: event.goal,
        goalRevision: 1,
        repositoryUrl: event.repositoryUrl,
        baseBranch: event.baseBranch,
        memoryEnabled: event.memoryEnabled
      }
    case "DirectiveStarted":
    case "DirectiveReactivated":
      return { ...state, status: "active" }
    case "DirectiveResumed":
      return { ...state, ...rested, status: "active", pausedBecause: undefined }
    case "DirectivePaused":
      return { ...state, status: "paused", pausedBecause: event.reason }
    case "DirectiveIdled":
      return { ...state, status: "idle" }
    case "DirectiveStalled":
      return { ...state, status: "stalled" }
    case "DirectiveArchived":
      return { ...state, status: "archived", completionDueAt: undefined }
    case "DirectiveUpdated":
      return {
        ...state,
        title: event.title ?? state.title,
        repositoryUrl: event.repositoryUrl === undefined ? state.repositoryUrl : event.repositoryUrl || undefined,
        baseBranch: event.baseBranch ?? state.baseBranch,
        memoryEnabled: event.memoryEnabled ?? state.memoryEnabled,
        prUrl: event.prUrl ?? state.prUrl
      }
    case "GoalChanged":
      return { ...state, ...rested, goal: event.goal, goalRevision: event.revision }
    case "StepAdded":
      return stepAdded(state, event)
    case "PlanAccepted":
      return planAccepted(state, event.revision)
    case "StepReadied":
      return withStep(
        {
          ...state,
          dag: Dag.readied(state.dag, stepOf(state, event.stepId)!),
          taskless: push(state.taskless, event.stepId)
        },
        event.stepId,
        { status: "ready" }
      )
    case "StepStarted":
      return move(state, event.stepId, { status: "running" })
    case "StepCompleted":
      return finished(
        { ...state, ...rested, unmerged: state.unmerged + 1 },
        event.stepId,
        { status: "completed", failure: undefined }
      )
    case "StepSkipped":
      return finished(
        { ...state, skippedByPlan: state.skippedByPlan + (state.planningTaskId === undefined ? 0 : 1) },
        event.stepId,
        { status: "skipped" }
      )
    case "StepFailed":
      return move(state, event.stepId, { status: "failed", failure: event.reason })
    case "StepRetried": {
      const next = move(state, event.stepId, { status: "pending", taskId: undefined, failure: undefined })
      return { ...next, dag: Dag.freed(next.dag, stepOf(next, event.stepId)!) }
    }
    case "TaskCreated":
      return taskCreated(state, event)
    case "TaskHandedOver":
      return handedOver(withTask(state, event.taskId, (task) => ({
        status: "starting",
        handOvers: [
          ...task.handOvers,
          { handOver: event.handOver, daemonId: event.daemonId, failed: false, ignored: [] }
        ]
      })))
    case "HandOverFailed": {
      const next = withTask(state, event.taskId, (task) => ({
        status: "pending",
        handOvers: task.handOvers.map((one) => one.handOver === event.handOver ? { ...one, failed: true } : one),
        exclusions: [
          ...task.exclusions.filter((one) => one.daemonId !== event.daemonId),
          { daemonId: event.daemonId, until: event.excludedUntil }
        ]
      }))
      return {
        ...next,
        waiting: push(next.waiting, event.taskId),
        excludedUntil: Math.max(state.excludedUntil, event.excludedUntil)
      }
    }
    case "TaskStarted":
      return withTask(state, event.taskId, () => ({ status: "running" }))
    case "InterruptRequested":
      return withTask(state, event.taskId, () => ({ interrupting: true }))
    case "TaskCompleted":
      return taskCompleted(taskEnded(state, event.taskId, "completed", event.handOver, undefined), event.taskId)
    case "TaskFailed":
      return taskEnded(state, event.taskId, "failed", event.handOver, event.reason)
    case "TaskInterrupted":
      return taskEnded(state, event.taskId, "interrupted", event.handOver, event.reason)
    case "ReportIgnored":
      return withTask(state, event.taskId, (task) => ({
        handOvers: task.handOvers.map((one) =>
          one.handOver === event.handOver ? { ...one, ignored: [...one.ignored, event.report] } : one
        )
      }))
    case "CompletionDelayed":
      return { ...state, completionAttempts: event.attempt, completionDueAt: event.until }
    case "AttentionNeeded":
      return { ...state, attention: event.reason, completionDueAt: undefined }
    case "MemorySet": {
      const { _tag, ...memory } = event
      return { ...state, memories: HashMap.set(state.memories, event.key, memory) }
    }
    case "MemoryRemoved":
      return { ...state, memories: HashMap.remove(state.memories, event.key) }
    case "CommandAnswered": {
      const answers = new Map(state.answers)
      answers.set(event.commandId, event.answer as unknown as DirectiveAnswer)
      for (const oldest of answers.keys()) {
        if (answers.size <= answersMax) break
        answers.delete(oldest)
      }
      return { ...state, answers }
    }
  }
}

/** Something new has come: earlier failures of the completion count no more. */
const rested = { completionAttempts: 0, completionDueAt: undefined, attention: undefined } as const

const withStep = (state: State, stepId: StepId, change: Partial<Step>): State => ({
  ...state,
  steps: HashMap.modify(state.steps, stepId, (step) => ({ ...step, ...change }))
})

const withTask = (state: State, taskId: TaskId, change: (task: Task) => Partial<Task>): State => ({
  ...state,
  tasks: HashMap.modify(state.tasks, taskId, (task) => ({ ...task, ...change(task) }))
})

/** Changes a step's status and the counts with it. */
const move = (state: State, stepId: StepId, change: Partial<Step> & { readonly status: StepStatus }): State => {
  const step = stepOf(state, stepId)!
  const next = withStep(state, stepId, change)
  return step.draft ? next : { ...next, dag: Dag.counted(next.dag, step.status, change.status) }
}

/** A step is completed or skipped: whatever waited for it waits for one less. */
const finished = (
  state: State,
  stepId: StepId,
  change: Partial<Step> & { readonly status: "completed" | "skipped" }
): State => {
  const step = stepOf(state, stepId)!
  const next = move(state, stepId, change)
  if (step.draft) return withStep(next, stepId, { draft: false })
  return { ...next, ...Dag.finished(next.dag, next.steps, step) }
}

type Added = Extract<DirectiveEvent, { _tag: "StepAdded" }>

const stepAdded = (state: State, event: Added): State => {
  const draft = event.plannedBy !== undefined
  const step: Step = {
    id: event.stepId,
    sequence: state.stepCount,
    name: event.name,
    description: event.description,
    taskPlan: event.taskPlan,
    dependsOn: event.dependsOn,
    orderIndex: event.orderIndex,
    generation: event.generation,
    status: "pending",
    draft,
    waitingOn: 0,
    taskId: undefined,
    failure: undefined,
    merged: false
  }
  const next: State = {
    ...state,
    stepCount: state.stepCount + 1,
    generation: Math.max(state.generation, event.generation),
    // Steps that somebody gave without a plan are the plan of the goal as it is.
    plannedRevision: !draft && state.plannedRevision === 0 ? state.goalRevision : state.plannedRevision
  }
  if (!draft) return { ...next, ...Dag.entered(next.dag, HashMap.set(next.steps, step.id, step), step) }
  return {
    ...next,
    steps: HashMap.set(next.steps, step.id, step),
    drafts: { head: step.id, tail: state.drafts },
    addedByPlan: state.addedByPlan + 1
  }
}

const planAccepted = (state: State, revision: number): State => {
  let { dag, steps } = state
  const drafts = [...iterate(state.drafts)].map((id) => stepOf(state, id)!).filter((step) => step.draft)
  // From the highest orderIndex down, each new level goes to the front of the levels, which is the cheap end; the
  // order in which steps were added decides within a level.
  drafts.sort((a, b) => b.orderIndex - a.orderIndex || a.sequence - b.sequence)
  for (const step of drafts) {
    const entering = { ...step, draft: false }
    ;({ dag, steps } = Dag.entered(dag, HashMap.set(steps, step.id, entering), entering))
  }
  return { ...state, dag, steps, drafts: undefined, plannedRevision: revision }
}

type Created = Extract<DirectiveEvent, { _tag: "TaskCreated" }>

const taskCreated = (state: State, event: Created): State => {
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
  const next: State = {
    ...state,
    tasks: HashMap.set(state.tasks, task.id, task),
    waiting: push(state.waiting, task.id),
    openTasks: state.openTasks + 1
  }
  switch (event.kind) {
    case "planning":
      return { ...next, planningTaskId: task.id, addedByPlan: 0, skippedByPlan: 0 }
    case "completion":
      return {
        ...next,
        completionTaskId: task.id,
        prBranch: event.prBranch ?? state.prBranch,
        completionAttempts: event.attempt ?? 1,
        completionDueAt: undefined
      }
    case "step": {
      const linked = withStep(next, event.stepId!, { taskId: task.id })
      return { ...linked, taskless: dropWhile(next.taskless, (id) => !isTaskless(linked, id)) }
    }
  }
}

/** Whether a step is ready and waits for a task to be made. */
export const isTaskless = (state: State, stepId: StepId): boolean => {
  const step = stepOf(state, stepId)!
  return step.status === "ready" && step.taskId === undefined
}

const taskEnded = (
  state: State,
  taskId: TaskId,
  status: "completed" | "failed" | "interrupted",
  endedBy: number | undefined,
  reason: string | undefined
): State => {
  const next = withTask(state, taskId, () => ({ status, endedBy, reason, plan: "", interrupting: false }))
  return {
    ...next,
    openTasks: state.openTasks - 1,
    waiting: stillWaiting(next),
    planningTaskId: state.planningTaskId === taskId ? undefined : state.planningTaskId,
    completionTaskId: state.completionTaskId === taskId ? undefined : state.completionTaskId
  }
}

/** Tasks that do not wait any more leave when they come to the front. */
const stillWaiting = (state: State): Fifo<TaskId> =>
  dropWhile(state.waiting, (id) => taskOf(state, id)!.status !== "pending")

const handedOver = (state: State): State => ({ ...state, waiting: stillWaiting(state) })

/** A completion that went well puts its steps into the pull request. */
const taskCompleted = (state: State, taskId: TaskId): State => {
  const { contents, kind } = taskOf(state, taskId)!
  if (kind !== "completion") return state
  let { steps, unmerged } = state
  for (const stepId of contents) {
    steps = HashMap.modify(steps, stepId, (step) => {
      if (!step.merged) unmerged -= 1
      return { ...step, merged: true }
    })
  }
  return { ...state, ...rested, steps, unmerged }
}
