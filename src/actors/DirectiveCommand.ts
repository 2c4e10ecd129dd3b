/**
 * What can be asked of a directive, what it answers, and how it says no. Shapes only; `Directive.ts` has the meaning.
 *
 * All of it is Schema, so that an address can be on another machine one day without a change in the rules.
 */
import { Schema } from "effect"
import { DaemonId, DirectiveId, OwnerId, StepId, TaskId } from "../events/Ids.ts"

export const stepsMax = 10_000

/** Text from people and agents. NUL has no place in it: neither shells, processes nor PostgreSQL can carry it. */
const text = (max: number) =>
  Schema.String.check(
    Schema.isMaxLength(max, { message: `is longer than ${max} characters` }),
    Schema.isPattern(/^[^\0]*$/, { message: "has a NUL character" })
  )
const filled = (max: number) => text(max).check(Schema.isPattern(/\S/, { message: "is empty" }))

export const Title = filled(500)
export const Goal = filled(100_000)
export const BaseBranch = filled(250).check(
  Schema.isPattern(/^(?![-/.])(?!.*(\.\.|@\{|\/\/|\.lock$|[/.]$))[^\s~^:?*[\\\x7f]+$/, {
    message: "is not a name that git takes for a branch"
  })
)
export const RepositoryUrl = filled(2_000).check(
  // A value with a dash in front would be an option to git.
  Schema.isPattern(/^[^-]/, { message: "begins with a dash" })
)

export const NewStep = Schema.Struct({
  /** A name for this step within its batch, which other steps of the batch may depend on. */
  key: Schema.optionalKey(filled(200)),
  name: Schema.String,
  description: Schema.optionalKey(text(100_000)),
  taskPlan: Schema.optionalKey(text(200_000)),
  /** Ids of existing steps, or keys of this batch. */
  dependsOn: Schema.optionalKey(Schema.Array(Schema.String)),
  orderIndex: Schema.optionalKey(Schema.Finite)
})
export type NewStep = typeof NewStep.Type

export const CreateDirective = Schema.Struct({
  title: Title,
  goal: Goal,
  repositoryUrl: Schema.optionalKey(RepositoryUrl),
  baseBranch: Schema.optionalKey(BaseBranch),
  memoryEnabled: Schema.optionalKey(Schema.Boolean),
  start: Schema.optionalKey(Schema.Boolean)
})

export const UpdateDirective = Schema.Struct({
  title: Schema.optionalKey(Title),
  goal: Schema.optionalKey(Goal),
  prUrl: Schema.optionalKey(filled(2_000)),
  /** null takes the repository away. */
  repositoryUrl: Schema.optionalKey(Schema.NullOr(RepositoryUrl)),
  baseBranch: Schema.optionalKey(BaseBranch),
  memoryEnabled: Schema.optionalKey(Schema.Boolean)
})

export const Memory = Schema.Struct({
  key: filled(200),
  value: text(100_000),
  category: Schema.optionalKey(filled(200))
})
export type Memory = typeof Memory.Type

/** What a daemon says of a task. `handOver` is missing where the daemon does not send it back. */
export const Report = Schema.Struct({
  taskId: TaskId,
  daemonId: DaemonId,
  handOver: Schema.optionalKey(Schema.Natural),
  status: Schema.Literals(["starting", "running", "completed", "failed", "interrupted"]),
  reason: Schema.optionalKey(Schema.String)
})
export type Report = typeof Report.Type

export const DirectiveCommand = Schema.TaggedUnion({
  CreateDirective: { ownerId: OwnerId, ...CreateDirective.fields },
  StartDirective: {},
  UpdateDirective: UpdateDirective.fields,
  PauseDirective: { reason: Schema.optionalKey(text(2_000)) },
  ResumeDirective: {},
  ArchiveDirective: {},
  /** Opens the pull request although steps failed, or tries again after completion gave up. */
  CompleteDirective: {},
  AddSteps: { steps: Schema.Array(NewStep) },
  RetryStep: { stepId: StepId },
  SkipStep: { stepId: StepId },
  SetMemory: Memory.fields,
  RemoveMemory: { key: Schema.String },
  InterruptTask: { taskId: TaskId },
  ReportTask: Report.fields,
  /** The machinery chose daemons for pending tasks. */
  HandOver: { assignments: Schema.Array(Schema.Struct({ taskId: TaskId, daemonId: DaemonId })) },
  /** A hand-over did not reach its daemon, or the daemon no longer has the task. */
  FailHandOver: { taskId: TaskId, handOver: Schema.Natural, reason: Schema.String },
  /** Time has passed: whatever is due happens now. In a healthy directive nothing is. */
  Wake: {}
})
export type DirectiveCommand = typeof DirectiveCommand.Type

export const DirectiveStatus = Schema.Literals(["draft", "active", "idle", "stalled", "paused", "archived"])
export type DirectiveStatus = typeof DirectiveStatus.Type

export const StepStatus = Schema.Literals(["pending", "ready", "running", "completed", "failed", "skipped"])
export type StepStatus = typeof StepStatus.Type

export const TaskStatus = Schema.Literals(["pending", "starting", "running", "completed", "failed", "interrupted"])
export type TaskStatus = typeof TaskStatus.Type

/** The state that a command led to, and, from AddSteps, what became of the steps in their order. */
export const DirectiveAnswer = Schema.Struct({
  directiveId: DirectiveId,
  status: DirectiveStatus,
  goalRevision: Schema.Natural,
  prUrl: Schema.optionalKey(Schema.String),
  prBranch: Schema.optionalKey(Schema.String),
  /** Why the directive is paused or stalled, or needs attention. */
  reason: Schema.optionalKey(Schema.String),
  /** What else came of the command. */
  note: Schema.optionalKey(Schema.String),
  steps: Schema.optionalKey(Schema.Array(Schema.Struct({
    id: StepId,
    name: Schema.String,
    key: Schema.optionalKey(Schema.String)
  })))
})
export type DirectiveAnswer = typeof DirectiveAnswer.Type

export class DirectiveNotFound extends Schema.TaggedError<DirectiveNotFound>()("DirectiveNotFound", {
  directiveId: Schema.String
}) {
  override get message() {
    return `There is no directive ${this.directiveId}`
  }
}

export class DirectiveInState extends Schema.TaggedError<DirectiveInState>()("DirectiveInState", {
  directiveId: DirectiveId,
  status: DirectiveStatus,
  refused: Schema.String
}) {
  override get message() {
    return `Directive ${this.directiveId} is ${this.status}: it cannot ${this.refused}`
  }
}

export class DirectiveExists extends Schema.TaggedError<DirectiveExists>()("DirectiveExists", {
  directiveId: DirectiveId
}) {
  override get message() {
    return `Directive ${this.directiveId} exists already`
  }
}

export class StepNotFound extends Schema.TaggedError<StepNotFound>()("StepNotFound", {
  directiveId: DirectiveId,
  stepId: Schema.String
}) {
  override get message() {
    return `Directive ${this.directiveId} has no step ${this.stepId}`
  }
}

export class StepInState extends Schema.TaggedError<StepInState>()("StepInState", {
  stepId: StepId,
  name: Schema.String,
  status: StepStatus,
  refused: Schema.String
}) {
  override get message() {
    return `Step ${this.stepId} (${this.name}) is ${this.status}: it cannot ${this.refused}`
  }
}

/** One step of an AddSteps is wrong, so none was added. `index` counts from 0; -1 is the batch as a whole. */
export class InvalidStep extends Schema.TaggedError<InvalidStep>()("InvalidStep", {
  index: Schema.Int,
  name: Schema.String,
  field: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    const place = this.index < 0 ? this.field : `steps[${this.index}].${this.field}`
    return `${place}: ${this.problem}; no step was added`
  }
}

export class NothingToComplete extends Schema.TaggedError<NothingToComplete>()("NothingToComplete", {
  directiveId: DirectiveId,
  because: Schema.String
}) {
  override get message() {
    return `Directive ${this.directiveId} has nothing for a pull request: ${this.because}`
  }
}

export class TaskNotFound extends Schema.TaggedError<TaskNotFound>()("TaskNotFound", {
  taskId: Schema.String
}) {
  override get message() {
    return `There is no task ${this.taskId}`
  }
}

export class MemoryNotFound extends Schema.TaggedError<MemoryNotFound>()("MemoryNotFound", {
  directiveId: DirectiveId,
  key: Schema.String
}) {
  override get message() {
    return `Directive ${this.directiveId} has no memory ${JSON.stringify(this.key)}`
  }
}

/** A daemon reported a task that was never handed to it. */
export class NotYourTask extends Schema.TaggedError<NotYourTask>()("NotYourTask", {
  taskId: Schema.String,
  daemonId: DaemonId
}) {
  override get message() {
    return `Task ${this.taskId} was not handed to daemon ${this.daemonId}`
  }
}

/** It was archived, exported and removed. Its id stays taken. */
export class DirectiveGone extends Schema.TaggedError<DirectiveGone>()("DirectiveGone", {
  directiveId: DirectiveId,
  exported: Schema.String
}) {
  override get message() {
    return `Directive ${this.directiveId} was removed: its history is in the export with the digest ${this.exported}`
  }
}

/** An idempotency key stands for one command, and this is another one. */
export class KeyReused extends Schema.TaggedError<KeyReused>()("KeyReused", {
  commandId: Schema.String,
  answered: Schema.String,
  refused: Schema.String
}) {
  override get message() {
    const isSame = this.answered === this.refused
    return `The idempotency key ${JSON.stringify(this.commandId)} was given to ` +
      `${isSame ? "another" : "the command"} ${this.answered} before: ${
        isSame ? "this" : "the command"
      } ${this.refused} needs one of its own`
  }
}

export const Rejection = Schema.Union([
  DirectiveNotFound,
  DirectiveInState,
  DirectiveExists,
  StepNotFound,
  StepInState,
  InvalidStep,
  NothingToComplete,
  TaskNotFound,
  MemoryNotFound,
  NotYourTask,
  KeyReused,
  DirectiveGone
])
export type Rejection = typeof Rejection.Type
