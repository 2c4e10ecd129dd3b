/**
 * The state of a directive: a fold of its events, which is in `internal/evolve.ts`.
 *
 * Everything here is persistent, and the DAG is kept as counts and lists (`internal/dag.ts`), so that one event costs
 * what it concerns and not what the directive holds.
 */
import { HashMap, Option } from "effect"
import type { TaskKind } from "../events/DirectiveEvent.ts"
import type { DaemonId, DirectiveId, OwnerId, StepId, TaskId } from "../events/Ids.ts"
import type { DirectiveAnswer, DirectiveStatus, Memory, StepStatus, TaskStatus } from "./DirectiveCommand.ts"
import * as Dag from "./internal/dag.ts"
import { emptyFifo, type Fifo, type List } from "./internal/fifo.ts"

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
  /** The steps that wait for this one, newest first; empty once it is completed or skipped. */
  readonly dependents: List<StepId>
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

/** What a command with an idempotency key was answered. */
export interface Answered {
  readonly commandId: string
  /** Which command it was; older logs do not say. */
  readonly command: string | undefined
  /** Of all that it asked for; older logs do not say. */
  readonly digest: string | undefined
  readonly answer: DirectiveAnswer
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
  /** The latest plan did not end well: whatever else is added meanwhile, resuming plans again. */
  readonly planFailed: boolean
  readonly repositoryUrl: string | undefined
  readonly baseBranch: string
  readonly memoryEnabled: boolean
  readonly status: DirectiveStatus
  /** Why it is paused. */
  readonly pausedBecause: string | undefined
  /** What it was last stalled by. */
  readonly stalledBy: { readonly failed: ReadonlyArray<StepId>; readonly blocked: number }
  /** Its history is gone from the log: the digest of the transcript that has it. */
  readonly removed: string | undefined
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
  /** The latest answers to commands that carried an idempotency key, and the keys, oldest first. */
  readonly answers: HashMap.HashMap<string, Answered>
  readonly answered: Fifo<string>
}

/** How many idempotency keys a directive has at hand. What it has let go of is in the log. */
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
  planFailed: false,
  repositoryUrl: undefined,
  baseBranch: "main",
  memoryEnabled: false,
  status: "draft",
  pausedBecause: undefined,
  stalledBy: { failed: [], blocked: 0 },
  removed: undefined,
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
  answers: HashMap.empty(),
  answered: emptyFifo
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

/** Whether a step is ready and waits for a task to be made. */
export const isTaskless = (state: State, stepId: StepId): boolean => {
  const step = stepOf(state, stepId)!
  return step.status === "ready" && step.taskId === undefined
}
