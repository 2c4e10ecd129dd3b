/**
 * What can be said to have happened to a directive, its steps, its tasks and its memories: one stream a directive.
 *
 * Stored for ever. A new field is optional; a changed shape is a new version; a changed meaning is a new event. Times are
 * milliseconds since 1970, UTC.
 */
import { Schema } from "effect"
import type * as Evolution from "./Evolution.ts"
import { DaemonId, DirectiveId, OwnerId, StepId, TaskId } from "./Ids.ts"

const Count = Schema.Natural
const Millis = Schema.Natural

export const TaskKind = Schema.Literals(["planning", "step", "completion"])
export type TaskKind = typeof TaskKind.Type

/** A SHA-256 in hex. */
export const Digest = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))

export const DirectiveEvent = Schema.TaggedUnion({
  // The directive
  DirectiveCreated: {
    directiveId: DirectiveId,
    ownerId: OwnerId,
    title: Schema.String,
    goal: Schema.String,
    repositoryUrl: Schema.optionalKey(Schema.String),
    baseBranch: Schema.String,
    memoryEnabled: Schema.Boolean
  },
  DirectiveStarted: {},
  /** Only what changed is there. An empty repositoryUrl takes the repository away. */
  DirectiveUpdated: {
    title: Schema.optionalKey(Schema.String),
    repositoryUrl: Schema.optionalKey(Schema.String),
    baseBranch: Schema.optionalKey(Schema.String),
    memoryEnabled: Schema.optionalKey(Schema.Boolean),
    prUrl: Schema.optionalKey(Schema.String)
  },
  GoalChanged: { goal: Schema.String, revision: Count },
  DirectivePaused: { reason: Schema.String },
  DirectiveResumed: {},
  /** An idle or stalled directive has something to do again. */
  DirectiveReactivated: {},
  DirectiveIdled: {},
  DirectiveStalled: { failed: Schema.Array(StepId), blocked: Count },
  DirectiveArchived: {},
  /**
   * Nothing comes after this, and what came before may be gone from the log. `version` and `hash` are those of the event
   * before, and `exported` is the digest of the transcript that the events are in.
   */
  DirectiveRemoved: { directiveId: DirectiveId, ownerId: OwnerId, version: Count, hash: Digest, exported: Digest },
  // Steps
  StepAdded: {
    stepId: StepId,
    name: Schema.String,
    description: Schema.optionalKey(Schema.String),
    taskPlan: Schema.optionalKey(Schema.String),
    dependsOn: Schema.Array(StepId),
    orderIndex: Count,
    generation: Count,
    /** The planning task in flight, if any: the step waits until that task ends well. */
    plannedBy: Schema.optionalKey(TaskId)
  },
  /** A planning task ended well: what was added since it began takes part from now on. */
  PlanAccepted: { taskId: TaskId, revision: Count, steps: Count },
  StepReadied: { stepId: StepId },
  StepStarted: { stepId: StepId, taskId: TaskId },
  StepCompleted: { stepId: StepId, taskId: TaskId },
  StepFailed: { stepId: StepId, taskId: TaskId, reason: Schema.String },
  StepSkipped: { stepId: StepId },
  StepRetried: { stepId: StepId },
  // Tasks
  TaskCreated: {
    taskId: TaskId,
    kind: TaskKind,
    name: Schema.String,
    description: Schema.String,
    plan: Schema.String,
    repositoryUrl: Schema.optionalKey(Schema.String),
    baseBranch: Schema.optionalKey(Schema.String),
    /** Of a step's task. */
    stepId: Schema.optionalKey(StepId),
    completionAction: Schema.optionalKey(Schema.Literal("branch")),
    continueFromTaskId: Schema.optionalKey(TaskId),
    /** Of a planning task: the goal's revision that it plans, and the generation of the steps it adds. */
    revision: Schema.optionalKey(Count),
    generation: Schema.optionalKey(Count),
    /** Of a completion task: the steps whose branches it merges, the branch it makes, and which attempt it is. */
    contents: Schema.optionalKey(Schema.Array(StepId)),
    prBranch: Schema.optionalKey(Schema.String),
    attempt: Schema.optionalKey(Count)
  },
  /** The intent. The frame is sent only after this is in the log. */
  TaskHandedOver: { taskId: TaskId, handOver: Count, daemonId: DaemonId },
  /** The daemon does not have the task (any more): it is pending again, and that daemon is left out until then. */
  HandOverFailed: {
    taskId: TaskId,
    handOver: Count,
    daemonId: DaemonId,
    reason: Schema.String,
    excludedUntil: Millis
  },
  TaskStarted: { taskId: TaskId, handOver: Count },
  InterruptRequested: { taskId: TaskId },
  /** `handOver` is the one whose report ended the task, which need not be the latest. */
  TaskCompleted: { taskId: TaskId, handOver: Count },
  TaskFailed: { taskId: TaskId, handOver: Schema.optionalKey(Count), reason: Schema.String },
  TaskInterrupted: { taskId: TaskId, handOver: Schema.optionalKey(Count), reason: Schema.String },
  /** A stale report: kept for whoever looks back, without effect. */
  ReportIgnored: {
    taskId: TaskId,
    handOver: Count,
    daemonId: DaemonId,
    report: Schema.String,
    because: Schema.String
  },
  // Completion
  CompletionDelayed: { attempt: Count, until: Millis, reason: Schema.String },
  AttentionNeeded: { reason: Schema.String },
  // Memories
  MemorySet: { key: Schema.String, value: Schema.String, category: Schema.optionalKey(Schema.String) },
  MemoryRemoved: { key: Schema.String },
  /**
   * The answer to a command that carried an idempotency key. A repeat of this command gets it again: `digest` is that of all
   * it asked for.
   */
  CommandAnswered: {
    commandId: Schema.String,
    command: Schema.optionalKey(Schema.String),
    digest: Schema.optionalKey(Schema.String),
    answer: Schema.Json
  }
})
export type DirectiveEvent = typeof DirectiveEvent.Type

/** The types whose stored shape has changed, with all their versions. The others are of version 1. */
export const directiveEventChanged: Evolution.Changed<typeof DirectiveEvent.cases> = {}
