/**
 * The rules of a directive: what a command means in a given state (spec sections 2, 3, 5, 6 and 8).
 *
 * Pure: `DirectiveActor.ts` owns the mailbox, the clock, the daemons and the log. A decision is a list of events; each
 * is applied before the next is thought about, so that later parts of a decision see what earlier parts changed.
 */
import { HashMap, Option, Result } from "effect"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { StepId, TaskId } from "../events/Ids.ts"
import {
  type DirectiveAnswer,
  type DirectiveCommand,
  DirectiveExists,
  DirectiveGone,
  DirectiveInState,
  DirectiveNotFound,
  MemoryNotFound,
  NothingToComplete,
  type Rejection,
  StepInState,
  StepNotFound,
  TaskNotFound
} from "./DirectiveCommand.ts"
import { empty, isOpen, type State, type Step, stepOf, type Task, taskOf } from "./DirectiveState.ts"
import { addSteps } from "./internal/addSteps.ts"
import { digestOf, recall } from "./internal/answers.ts"
import { type Context, defaultPolicy, Draft, type Policy } from "./internal/draft.ts"
import { failHandOver, handOver, report, stopTask } from "./internal/endings.ts"
import { evolve } from "./internal/evolve.ts"
import { advance, startCompletion, waitingTasks, wantsCompletion } from "./internal/phases.ts"

export { type Context, defaultPolicy, empty, evolve, type Policy, type State, type Step, type Task, waitingTasks }

export interface Decision {
  readonly events: ReadonlyArray<DirectiveEvent>
  /** The state after the events: the same as folding them, without doing it twice. */
  readonly state: State
  readonly answer: DirectiveAnswer
}

type Outcome<A = void> = Result.Result<A, Rejection>
const done: Outcome = Result.succeed(undefined)

export const answerOf = (state: State): DirectiveAnswer => {
  const reason = reasonOf(state)
  return {
    directiveId: state.id!,
    status: state.status,
    goalRevision: state.goalRevision,
    ...(state.prUrl === undefined ? {} : { prUrl: state.prUrl }),
    ...(state.prBranch === undefined ? {} : { prBranch: state.prBranch }),
    ...(reason === undefined ? {} : { reason })
  }
}

const reasonOf = (state: State): string | undefined => {
  if (state.status === "paused") return state.pausedBecause
  if (state.attention !== undefined || state.status !== "stalled") return state.attention
  const { blocked, failed } = state.stalledBy
  const names = failed.slice(0, 10).map((stepId) => JSON.stringify(stepOf(state, stepId)!.name))
  const more = failed.length > names.length ? ` and ${failed.length - names.length} more` : ""
  return `failed: ${names.join(", ")}${more}; held up by that: ${blocked} ${blocked === 1 ? "step" : "steps"}`
}

/** `commandId` is the idempotency key of the command, where it has one. */
export const decide = (
  state: State,
  command: DirectiveCommand,
  context: Context,
  commandId?: string
): Result.Result<Decision, Rejection> => {
  const known = commandId === undefined ? Option.none() : HashMap.get(state.answers, commandId)
  if (Option.isSome(known)) {
    return Result.map(recall(known.value, command), (answer) => ({ events: [], state, answer }))
  }
  const draft = new Draft(state, context)
  const outcome = carryOut(draft, command)
  if (Result.isFailure(outcome)) return Result.fail(outcome.failure)
  advance(draft)
  const answer = { ...answerOf(draft.state), ...outcome.success }
  if (commandId !== undefined) {
    draft.record({ _tag: "CommandAnswered", commandId, command: command._tag, digest: digestOf(command), answer })
  }
  return Result.succeed({ events: draft.events, state: draft.state, answer })
}

const carryOut = (draft: Draft, command: DirectiveCommand): Outcome<Partial<DirectiveAnswer> | void> => {
  const { state } = draft
  if (state.removed !== undefined && command._tag !== "Wake") {
    return Result.fail(new DirectiveGone({ directiveId: state.id!, exported: state.removed }))
  }
  if (command._tag === "CreateDirective") return create(draft, command)
  if (state.id === undefined) return Result.fail(new DirectiveNotFound({ directiveId: state.stream }))
  switch (command._tag) {
    // These are about what is under way already, so they mean the same in every status.
    case "ReportTask":
      return report(draft, command)
    case "HandOver":
      return handOver(draft, command.assignments)
    case "FailHandOver":
      return failHandOver(draft, command)
    case "Wake":
      return done
    case "ArchiveDirective":
      return archive(draft)
  }
  const refuse = (refused: string) =>
    Result.fail(new DirectiveInState({ directiveId: state.id!, status: state.status, refused }))
  if (state.status === "archived") return refuse("take commands")
  switch (command._tag) {
    case "StartDirective":
      if (state.status === "draft") draft.record({ _tag: "DirectiveStarted" })
      return done
    case "UpdateDirective":
      return update(draft, command)
    case "PauseDirective":
      if (state.status === "draft") return refuse("be paused before it is started")
      if (state.status !== "paused") {
        draft.record({ _tag: "DirectivePaused", reason: command.reason ?? "paused by command" })
      }
      return done
    case "ResumeDirective":
      if (state.status === "draft") return refuse("be resumed before it is started")
      if (state.status === "paused") draft.record({ _tag: "DirectiveResumed" })
      return done
    case "CompleteDirective":
      return complete(draft)
    case "AddSteps": {
      const added = addSteps(draft, command.steps)
      if (Result.isSuccess(added) && added.success.steps.length > 0) reactivate(draft)
      return added
    }
    case "RetryStep":
      return retryStep(draft, command.stepId)
    case "SkipStep":
      return skipStep(draft, command.stepId)
    case "SetMemory": {
      const { _tag, ...memory } = command
      draft.record({ _tag: "MemorySet", ...memory })
      return done
    }
    case "RemoveMemory":
      if (!HashMap.has(state.memories, command.key)) {
        return Result.fail(new MemoryNotFound({ directiveId: state.id, key: command.key }))
      }
      draft.record({ _tag: "MemoryRemoved", key: command.key })
      return done
    case "InterruptTask":
      return interruptTask(draft, command.taskId)
  }
}

const create = (draft: Draft, command: Extract<DirectiveCommand, { _tag: "CreateDirective" }>): Outcome => {
  const { state } = draft
  if (state.id !== undefined) return Result.fail(new DirectiveExists({ directiveId: state.id }))
  draft.record({
    _tag: "DirectiveCreated",
    directiveId: directiveIdOf(state),
    ownerId: command.ownerId,
    title: command.title,
    goal: command.goal,
    ...(command.repositoryUrl === undefined ? {} : { repositoryUrl: command.repositoryUrl }),
    baseBranch: command.baseBranch ?? "main",
    memoryEnabled: command.memoryEnabled ?? false
  })
  if (command.start === true) draft.record({ _tag: "DirectiveStarted" })
  return done
}

const streamPrefix = "directive-"
export const streamOf = (directiveId: string): string => streamPrefix + directiveId
const directiveIdOf = (state: State) => state.stream.slice(streamPrefix.length) as NonNullable<State["id"]>

const update = (draft: Draft, command: Extract<DirectiveCommand, { _tag: "UpdateDirective" }>): Outcome => {
  const { _tag, goal, repositoryUrl, ...rest } = command
  const wanted = { ...rest, ...(repositoryUrl === undefined ? {} : { repositoryUrl: repositoryUrl ?? "" }) }
  const before: Record<string, unknown> = { ...draft.state, repositoryUrl: draft.state.repositoryUrl ?? "" }
  const changes = Object.fromEntries(
    Object.entries(wanted).filter(([field, value]) => value !== undefined && value !== before[field])
  )
  if (Object.keys(changes).length > 0) draft.record({ _tag: "DirectiveUpdated", ...changes })
  if (goal !== undefined && goal !== draft.state.goal) {
    draft.record({ _tag: "GoalChanged", goal, revision: draft.state.goalRevision + 1 })
    reactivate(draft)
  }
  return done
}

const reactivate = (draft: Draft): void => {
  const { status } = draft.state
  if (status === "idle" || status === "stalled") draft.record({ _tag: "DirectiveReactivated" })
}

const archive = (draft: Draft): Outcome => {
  if (draft.state.status === "archived") return done
  draft.record({ _tag: "DirectiveArchived" })
  for (const task of HashMap.values(draft.state.tasks)) {
    if (isOpen(task)) stopTask(draft, task, "the directive was archived")
  }
  return done
}

const complete = (draft: Draft): Outcome => {
  const { state } = draft
  if (state.status !== "idle" && state.status !== "stalled") {
    return Result.fail(
      new DirectiveInState({
        directiveId: state.id!,
        status: state.status,
        refused: "be completed: only an idle or stalled directive can"
      })
    )
  }
  if (state.completionTaskId !== undefined) return done
  const because = state.repositoryUrl === undefined
    ? "it has no repository"
    : state.unmerged === 0
    ? "no completed step is missing from it"
    : undefined
  if (because !== undefined) return Result.fail(new NothingToComplete({ directiveId: state.id!, because }))
  startCompletion(draft, 1)
  return done
}

const retryStep = (draft: Draft, stepId: StepId): Outcome => {
  const step = stepOf(draft.state, stepId)
  if (step === undefined) return Result.fail(new StepNotFound({ directiveId: draft.state.id!, stepId }))
  if (step.status !== "failed") {
    return Result.fail(new StepInState({ stepId, name: step.name, status: step.status, refused: "be retried" }))
  }
  draft.record({ _tag: "StepRetried", stepId })
  reactivate(draft)
  return done
}

const skipStep = (draft: Draft, stepId: StepId): Outcome => {
  const step = stepOf(draft.state, stepId)
  if (step === undefined) return Result.fail(new StepNotFound({ directiveId: draft.state.id!, stepId }))
  const task = step.taskId === undefined ? undefined : taskOf(draft.state, step.taskId)
  const underWay = step.status === "running" ||
    (step.status === "ready" && task !== undefined && task.status !== "pending")
  if (step.status === "completed" || underWay) {
    const refused = underWay ? "be skipped while its task is under way: interrupt the task first" : "be skipped"
    return Result.fail(new StepInState({ stepId, name: step.name, status: step.status, refused }))
  }
  if (step.status === "skipped") return done
  if (step.status === "ready" && task !== undefined) {
    draft.record({ _tag: "TaskInterrupted", taskId: task.id, reason: "the step was skipped" })
  }
  draft.record({ _tag: "StepSkipped", stepId })
  if (draft.state.status === "stalled") reactivate(draft)
  return done
}

const interruptTask = (draft: Draft, taskId: TaskId): Outcome => {
  const task = taskOf(draft.state, taskId)
  if (task === undefined) return Result.fail(new TaskNotFound({ taskId }))
  if (isOpen(task)) stopTask(draft, task, "interrupted by command")
  return done
}

/** When this directive wants a `Wake`, in milliseconds since 1970: undefined when it waits for no time. */
export const dueAt = (state: State, now: number): number | undefined => {
  const completion = wantsCompletion(state) ? state.completionDueAt : undefined
  // Whether a task can go out is looked at only while a daemon is left out, which is rare and short.
  const isExcluding = state.excludedUntil > now && !waitingTasks(state).next().done
  if (!isExcluding) return completion
  return completion === undefined ? state.excludedUntil : Math.min(completion, state.excludedUntil)
}
