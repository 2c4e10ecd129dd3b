/**
 * What the read models hold: a table each for directives, steps, tasks, daemons and memories, and what readers get.
 *
 * Every key is always there; what does not apply is null.
 */
import { Schema } from "effect"
import { DirectiveStatus, StepStatus, TaskStatus } from "../actors/DirectiveCommand.ts"
import { TaskKind } from "../events/DirectiveEvent.ts"
import { DaemonId, DirectiveId, OwnerId, StepId, TaskId } from "../events/Ids.ts"

const Text = Schema.NullOr(Schema.String)
/** Milliseconds since 1970, UTC. */
const Millis = Schema.Natural

const directive = {
  id: DirectiveId,
  ownerId: OwnerId,
  title: Schema.String,
  goal: Schema.String,
  goalRevision: Schema.Natural,
  status: DirectiveStatus,
  repositoryUrl: Text,
  baseBranch: Schema.String,
  memoryEnabled: Schema.Boolean,
  prUrl: Text,
  prBranch: Text,
  generation: Schema.Natural,
  /** When a completion that failed is tried again. */
  completionDueAt: Schema.NullOr(Millis),
  createdAt: Millis,
  updatedAt: Millis
}

const step = {
  id: StepId,
  directiveId: DirectiveId,
  name: Schema.String,
  description: Text,
  taskPlan: Text,
  dependsOn: Schema.Array(StepId),
  orderIndex: Schema.Natural,
  generation: Schema.Natural,
  status: StepStatus,
  taskId: Schema.NullOr(TaskId),
  failure: Text
}

const task = {
  id: TaskId,
  directiveId: DirectiveId,
  stepId: Schema.NullOr(StepId),
  kind: TaskKind,
  name: Schema.String,
  description: Schema.String,
  repositoryUrl: Text,
  baseBranch: Text,
  completionAction: Schema.NullOr(Schema.Literal("branch")),
  continueFromTaskId: Schema.NullOr(TaskId),
  status: TaskStatus,
  /** Where it is, or was when it ended. */
  daemonId: Schema.NullOr(DaemonId),
  /** How often it was handed over. */
  handOver: Schema.Natural,
  /** Why it failed or was interrupted. */
  reason: Text,
  createdAt: Millis,
  endedAt: Schema.NullOr(Millis)
}

const daemon = {
  id: DaemonId,
  ownerId: OwnerId,
  machineId: Schema.String,
  hostname: Schema.String,
  maxConcurrentTasks: Schema.Natural,
  status: Schema.Literals(["connected", "suspect", "lost"]),
  since: Millis,
  /** When a suspect daemon counts as lost. */
  lostAt: Schema.NullOr(Millis)
}

const memory = { key: Schema.String, value: Schema.String, category: Text }

/** The prompt of a task can be long, so only `task` has it. */
const plan = { plan: Schema.String }

/** The columns of each table. `version` is that of the event that introduced the row, and orders rows of a directive. */
export const tables = {
  directives: Schema.Struct({
    ...directive,
    pausedBecause: Text,
    attention: Text,
    createdPosition: Schema.Natural
  }),
  steps: Schema.Struct({ ...step, version: Schema.Natural }),
  tasks: Schema.Struct({ ...task, ...plan, version: Schema.Natural }),
  daemons: Schema.Struct(daemon),
  // A memory that was removed keeps its row without a value, so that every change is one of values.
  memories: Schema.Struct({ ...memory, id: Schema.String, directiveId: DirectiveId, value: Text })
}
export type Table = keyof typeof tables
export type Values<T extends Table> = (typeof tables)[T]["Type"]

export const DirectiveRow = Schema.Struct({
  ...directive,
  /** Why it is paused, or needs attention. */
  reason: Text
})
export type DirectiveRow = typeof DirectiveRow.Type

export const StepRow = Schema.Struct({
  ...step,
  /** The order in which steps were added, from 0. */
  sequence: Schema.Natural
})
export type StepRow = typeof StepRow.Type

export const TaskRow = Schema.Struct(task)
export type TaskRow = typeof TaskRow.Type

export const TaskDetail = Schema.Struct({ ...task, ...plan })
export type TaskDetail = typeof TaskDetail.Type

export const DaemonRow = Schema.Struct({
  ...daemon,
  /** How many tasks are with it. */
  activeTasks: Schema.Natural
})
export type DaemonRow = typeof DaemonRow.Type

export const MemoryRow = Schema.Struct(memory)
export type MemoryRow = typeof MemoryRow.Type

export const DirectiveDetail = Schema.Struct({
  ...DirectiveRow.fields,
  /** In the order in which they were added. */
  steps: Schema.Array(StepRow),
  /** In the order in which they were made. */
  tasks: Schema.Array(TaskRow)
})
export type DirectiveDetail = typeof DirectiveDetail.Type

export const DirectivePage = Schema.Struct({
  items: Schema.Array(DirectiveRow),
  nextCursor: Schema.optionalKey(Schema.String)
})
export type DirectivePage = typeof DirectivePage.Type
