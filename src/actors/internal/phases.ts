/** What a directive does by itself: the five phases of spec section 3, as reactions to the state it is in. */
import { HashMap } from "effect"
import * as BranchName from "../../daemon/BranchName.ts"
import { TaskId } from "../../events/Ids.ts"
import { completionPrompt } from "../../prompts/CompletionPrompt.ts"
import { planningPrompt } from "../../prompts/PlanningPrompt.ts"
import { stepPrompt } from "../../prompts/StepPrompt.ts"
import { isTaskless, type State, type Step, stepOf, type Task, taskOf } from "../DirectiveState.ts"
import * as Dag from "./dag.ts"
import type { Draft } from "./draft.ts"
import { values } from "./fifo.ts"

/** Does whatever the state calls for now: the reactions that the phases of spec section 3 are. */
export const advance = (draft: Draft): void => {
  if (draft.state.status === "draft" || draft.state.status === "archived") return
  if (draft.state.status === "active") plan(draft)
  for (const stepId of Dag.runnable(draft.state.dag)) {
    if (stepOf(draft.state, stepId)?.status === "pending") draft.record({ _tag: "StepReadied", stepId })
  }
  if (draft.state.status === "active") {
    for (const stepId of values(draft.state.taskless)) {
      if (isTaskless(draft.state, stepId)) createStepTask(draft, stepOf(draft.state, stepId)!)
    }
  }
  rest(draft)
  const { state } = draft
  if (wantsCompletion(state) && (state.completionDueAt ?? 0) <= draft.context.now) {
    startCompletion(draft, state.completionAttempts + 1)
  }
}

/**
 * Whether a completion starts by itself, now or when its delay is over. A stalled directive's only does where somebody
 * asked for it and an attempt failed.
 */
export const wantsCompletion = (state: State): boolean =>
  state.completionTaskId === undefined && state.attention === undefined && state.unmerged > 0 &&
  state.repositoryUrl !== undefined &&
  (state.status === "idle" || (state.status === "stalled" && state.completionDueAt !== undefined))

/** Phases 1 and 4: a goal that is newer than the plan gets a planning task, unless one is under way. */
const plan = (draft: Draft): void => {
  const { state } = draft
  if (state.planningTaskId !== undefined || state.plannedRevision >= state.goalRevision) return
  const generation = state.generation + 1
  const existing = HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence)
  draft.record({
    _tag: "TaskCreated",
    taskId: TaskId.make(draft.nextId()),
    kind: "planning",
    name: `${state.plannedRevision === 0 ? "Plan" : "Re-plan"}: ${state.title}`,
    description: "Directive planning task",
    plan: planningPrompt({
      title: state.title,
      goal: state.goal,
      ...present("repositoryUrl", state.repositoryUrl),
      existing: existing.map(({ description, id, name, orderIndex, status }) => ({
        id,
        name,
        status,
        orderIndex,
        ...present("description", description)
      })),
      generation,
      memories: memoriesOf(state)
    }),
    ...present("repositoryUrl", state.repositoryUrl),
    baseBranch: state.baseBranch,
    revision: state.goalRevision,
    generation
  })
}

/** Phase 2: a ready step's task. The first dependency's work is where it starts; the others' branches are merged in. */
const createStepTask = (draft: Draft, step: Step): void => {
  const { state } = draft
  const [first, ...others] = step.dependsOn.flatMap((id) => {
    const dependency = stepOf(state, id)
    const task = dependency?.status === "completed" ? taskOf(state, dependency.taskId!) : undefined
    return task === undefined ? [] : [task]
  })
  draft.record({
    _tag: "TaskCreated",
    taskId: TaskId.make(draft.nextId()),
    kind: "step",
    stepId: step.id,
    name: `${state.title}: ${step.name}`,
    description: "Directive step execution task",
    plan: stepPrompt({
      directiveTitle: state.title,
      name: step.name,
      ...present("description", step.description),
      ...present("taskPlan", step.taskPlan),
      mergeBranches: state.repositoryUrl === undefined
        ? []
        : others.map((task) => BranchName.ofTask(task.name, task.id)),
      memories: memoriesOf(state)
    }),
    ...present("repositoryUrl", state.repositoryUrl),
    baseBranch: state.baseBranch,
    completionAction: "branch",
    ...present("continueFromTaskId", first?.id)
  })
}

/** When nothing is under way and nothing can be, the directive is idle or stalled. */
const rest = (draft: Draft): void => {
  const { dag: { counts }, planningTaskId, status, stepCount } = draft.state
  if (status !== "active" && status !== "stalled") return
  if (planningTaskId !== undefined || stepCount === 0) return
  if (counts.pending + counts.ready + counts.running === 0) {
    draft.record({ _tag: "DirectiveIdled" })
    return
  }
  const held = heldTasks(draft.state)
  if (status === "stalled" || held === undefined) return
  const failed = [...HashMap.values(draft.state.steps)].filter((step) => step.status === "failed")
  draft.record({
    _tag: "DirectiveStalled",
    failed: failed.sort((a, b) => a.sequence - b.sequence).map((step) => step.id),
    blocked: counts.pending + held
  })
}

/**
 * How many step tasks wait behind a lower level that was added after their steps had become ready: undefined when
 * another can still move. As a rule the first look at the queue answers that.
 */
const heldTasks = (state: State): number | undefined => {
  let held = 0
  for (const task of queued(state)) {
    if (task.kind !== "step") continue
    if (canGoOut(state, task)) return undefined
    held += 1
  }
  const completing = state.completionTaskId === undefined ? 0 : 1
  return state.openTasks - completing > held ? undefined : held
}

/** Phase 5: merge what is not in the pull request yet, or all of it while there is none. */
export const startCompletion = (draft: Draft, attempt: number): void => {
  const { state } = draft
  const steps = HashMap.toValues(state.steps)
    .filter((step) => step.status === "completed" && (state.prUrl === undefined || !step.merged))
    .sort((a, b) => a.sequence - b.sequence)
  const prBranch = state.prBranch ?? BranchName.ofDirective(state.title, state.id!)
  draft.record({
    _tag: "TaskCreated",
    taskId: TaskId.make(draft.nextId()),
    kind: "completion",
    name: `PR: ${state.title}`,
    description: "Directive PR completion task",
    plan: completionPrompt({
      title: state.title,
      goal: state.goal,
      baseBranch: state.baseBranch,
      prBranch,
      ...present("prUrl", state.prUrl),
      steps: steps.map((step) => {
        const task = taskOf(state, step.taskId!)!
        return { name: step.name, branch: BranchName.ofTask(task.name, task.id) }
      })
    }),
    ...present("repositoryUrl", state.repositoryUrl),
    baseBranch: state.baseBranch,
    contents: steps.map((step) => step.id),
    prBranch,
    attempt
  })
}

const memoriesOf = (state: State) =>
  state.memoryEnabled ? HashMap.toValues(state.memories).sort((a, b) => (a.key < b.key ? -1 : 1)) : []

const present = <K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V }

/** Whether a waiting task may be handed over now. */
export const canGoOut = (state: State, task: Task): boolean => {
  if (task.status !== "pending") return false
  if (task.kind === "completion") {
    return state.status === "active" || state.status === "idle" || state.status === "stalled"
  }
  if (state.status !== "active") return false
  // A plan may have put a level below this step's after it had become ready.
  return task.stepId === undefined || stepOf(state, task.stepId)!.orderIndex <= Dag.frontier(state.dag)
}

/** The tasks that could be handed over now, first come first. */
export function* waitingTasks(state: State): Generator<Task> {
  if (state.status === "draft" || state.status === "paused" || state.status === "archived") return
  for (const task of queued(state)) {
    if (canGoOut(state, task)) yield task
  }
}

/** The tasks without a daemon. One that came back from its daemon may be in the queue at its old place too. */
function* queued(state: State): Generator<Task> {
  const seen = new Set<TaskId>()
  for (const taskId of values(state.waiting)) {
    const task = taskOf(state, taskId)!
    if (task.status !== "pending" || seen.has(taskId)) continue
    seen.add(taskId)
    yield task
  }
}
