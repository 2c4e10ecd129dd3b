/**
 * The frames between server and daemons (spec section 9), as JSON text over a WebSocket: shapes only.
 *
 * What a frame means is decided by `Directive.ts` and `DaemonRegistry.ts`; the two ends are `DaemonEndpoint.ts` and
 * `LocalDaemon.ts`.
 */
import { Context, Schema } from "effect"
import { DaemonId, DirectiveId, TaskId } from "../events/Ids.ts"

/** The largest frame either side takes, in bytes. */
export const frameBytesMax = 1024 * 1024

/** Milliseconds between two heartbeats. Three missed ones end a session, so both sides have to agree on it. */
export const HeartbeatMillis = Context.Reference("makima-runtime/daemon/HeartbeatMillis", {
  defaultValue: () => 30_000
})

/** Without any frame for so many heartbeats, a connection is as good as gone. */
export const missedHeartbeatsMax = 3

/** The status of a task as daemons report it. The first three mean that it is still going. */
export const ReportedStatus = Schema.Literals([
  "pending",
  "starting",
  "running",
  "completed",
  "merged",
  "done",
  "failed",
  "interrupted"
])
export type ReportedStatus = typeof ReportedStatus.Type

const handOver = Schema.optionalKey(Schema.Natural)
const frame = <const Type extends string, Fields extends Schema.Struct.Fields>(type: Type, fields: Fields) =>
  Schema.Struct({ type: Schema.Literal(type), ...fields })

export const Authenticate = frame("authenticate", {
  apiKey: Schema.String,
  machineId: Schema.NonEmptyString.check(Schema.isMaxLength(200)),
  hostname: Schema.String.check(Schema.isMaxLength(300)),
  maxConcurrentTasks: Schema.Natural,
  /**
   * An extension of the protocol: the server says when it has dealt with a final report, and answers heartbeats. A server
   * that knows of this says so in `authenticated`.
   */
  acknowledgements: Schema.optionalKey(Schema.Boolean)
})
export type Authenticate = typeof Authenticate.Type

/** What a daemon sends after `authenticate`. */
export const DaemonFrame = Schema.Union([
  frame("heartbeat", { activeTasks: Schema.Array(TaskId) }),
  frame("taskStatusChange", { taskId: TaskId, oldStatus: ReportedStatus, newStatus: ReportedStatus, handOver }),
  frame("taskOutput", { taskId: TaskId, output: Schema.String, isPartial: Schema.Boolean, handOver }),
  frame("taskProgress", { taskId: TaskId, summary: Schema.String, handOver }),
  frame("taskComplete", {
    taskId: TaskId,
    success: Schema.Boolean,
    error: Schema.optionalKey(Schema.NullOr(Schema.String)),
    handOver
  })
])
export type DaemonFrame = typeof DaemonFrame.Type

/** Everything a daemon needs to carry out a task. Values that this runtime never sets are part of the contract. */
export const SpawnTask = frame("spawnTask", {
  taskId: TaskId,
  taskName: Schema.String,
  plan: Schema.String,
  repoUrl: Schema.NullOr(Schema.String),
  baseBranch: Schema.NullOr(Schema.String),
  targetBranch: Schema.NullOr(Schema.String),
  parentTaskId: Schema.NullOr(TaskId),
  depth: Schema.Natural,
  isOrchestrator: Schema.Boolean,
  targetRepoPath: Schema.NullOr(Schema.String),
  completionAction: Schema.NullOr(Schema.String),
  continueFromTaskId: Schema.NullOr(TaskId),
  copyFiles: Schema.NullOr(Schema.Array(Schema.String)),
  contractId: Schema.NullOr(Schema.String),
  isSupervisor: Schema.Boolean,
  autonomousLoop: Schema.Boolean,
  resumeSession: Schema.Boolean,
  conversationHistory: Schema.NullOr(Schema.Json),
  patchData: Schema.NullOr(Schema.String),
  patchBaseSha: Schema.NullOr(Schema.String),
  localOnly: Schema.Boolean,
  autoMergeLocal: Schema.Boolean,
  supervisorWorktreeTaskId: Schema.NullOr(TaskId),
  directiveId: Schema.NullOr(DirectiveId),
  handOver: Schema.Natural
})
export type SpawnTask = typeof SpawnTask.Type

/** What the server sends. */
export const ServerFrame = Schema.Union([
  frame("authenticated", { daemonId: DaemonId, acknowledgements: Schema.optionalKey(Schema.Boolean) }),
  SpawnTask,
  frame("interruptTask", { taskId: TaskId, graceful: Schema.Boolean }),
  /** What was reported last of this hand-over is in the log, or was refused: nobody needs to hear it again. */
  frame("reported", { taskId: TaskId, handOver }),
  /** The answer to a heartbeat. */
  frame("heartbeat", {}),
  frame("error", { code: Schema.String, message: Schema.String })
])
export type ServerFrame = typeof ServerFrame.Type
