/** Mistakes in the rules of a directive and in how its events are folded. */
import type { Mutant } from "./Mutant.ts"

export const inRules: ReadonlyArray<Mutant> = [
  {
    name: "planning-task-never-cleared",
    wrong: "A planning task that has ended stays the one in flight.",
    file: "src/actors/internal/evolve.ts",
    find: "    next.planningTaskId = undefined\n",
    replace: ""
  },
  {
    name: "order-index-ignored",
    wrong: "All steps are in one level, whatever their orderIndex.",
    file: "src/actors/internal/evolve.ts",
    find: "    orderIndex: event.orderIndex,",
    replace: "    orderIndex: 0,"
  },
  {
    name: "lower-level-ignored-at-hand-over",
    wrong: "A waiting task goes out although a lower level was put below its step.",
    file: "src/actors/internal/phases.ts",
    find: "  return task.stepId === undefined || stepOf(state, task.stepId)!.orderIndex <= Dag.frontier(state.dag)",
    replace: "  return true"
  },
  {
    name: "dependencies-counted-as-one",
    wrong: "A step with several dependencies goes when the first of them is completed.",
    file: "src/actors/internal/dag.ts",
    find: "    waitingOn += 1\n",
    replace: "    waitingOn = 1\n"
  },
  {
    name: "skipped-dependency-holds-up",
    wrong: "A step that is added with a dependency that was skipped waits for it for ever.",
    file: "src/actors/internal/dag.ts",
    find: `step.status === "completed" || step.status === "skipped"`,
    replace: `step.status === "completed"`
  },
  {
    name: "retried-step-keeps-its-task",
    wrong: "A step that is retried still has its failed task, so it gets no other.",
    file: "src/actors/internal/evolve.ts",
    find: `{ status: "pending", taskId: undefined, failure: undefined }`,
    replace: `{ status: "pending", failure: undefined }`
  },
  {
    name: "retry-leaves-stalled",
    wrong: "A stalled directive stays so when its failed step is retried.",
    file: "src/actors/Directive.ts",
    find: `  draft.record({ _tag: "StepRetried", stepId })\n  reactivate(draft)\n`,
    replace: `  draft.record({ _tag: "StepRetried", stepId })\n`
  },
  {
    name: "plans-while-paused",
    wrong: "A paused directive makes planning tasks.",
    file: "src/actors/internal/phases.ts",
    find: `  if (draft.state.status === "active") plan(draft)`,
    replace: "  plan(draft)"
  },
  {
    name: "plan-counts-for-the-goal-of-now",
    wrong: "A plan that was made for an earlier goal counts as one for the goal that came meanwhile.",
    file: "src/actors/internal/endings.ts",
    find: "revision: task.revision, steps: state.addedByPlan",
    replace: "revision: state.goalRevision, steps: state.addedByPlan"
  },
  {
    name: "empty-plan-goes-on",
    wrong: "A plan without steps does not pause its directive.",
    file: "src/actors/internal/endings.ts",
    find: "  if (isEmpty) {\n",
    replace: "  if (isEmpty && state.stepCount > 0) {\n"
  },
  {
    name: "drafts-take-part",
    wrong: "Steps of a plan that is still being made become ready.",
    file: "src/actors/internal/evolve.ts",
    find: "    draft: event.plannedBy !== undefined,",
    replace: "    draft: false,"
  },
  {
    name: "stale-failure-accepted",
    wrong: "A failure of an earlier hand-over ends the task.",
    file: "src/actors/internal/endings.ts",
    find: `  if (isOpen(task) && (isCurrent || status === "completed")) {`,
    replace: "  if (isOpen(task)) {"
  },
  {
    name: "late-success-thrown-away",
    wrong: "A success of an earlier hand-over is ignored although the task is open.",
    file: "src/actors/internal/endings.ts",
    find: `  if (isOpen(task) && (isCurrent || status === "completed")) {`,
    replace: "  if (isOpen(task) && isCurrent) {"
  },
  {
    name: "task-ends-twice",
    wrong: "A success is applied although the task has ended.",
    file: "src/actors/internal/endings.ts",
    find: `  if (isOpen(task) && (isCurrent || status === "completed")) {`,
    replace: `  if (isCurrent || status === "completed") {`
  },
  {
    name: "repeated-report-recorded",
    wrong: "Each repetition of a stale report is recorded again.",
    file: "src/actors/internal/endings.ts",
    find: "  if (!isSaid && !its.ignored.includes(status)) {",
    replace: "  if (!isSaid) {"
  },
  {
    name: "hand-over-of-another-number-fails",
    wrong: "What is said of an earlier hand-over takes back the current one.",
    file: "src/actors/internal/endings.ts",
    find: "current === undefined || current.handOver !== handOver) return Result.succeed(undefined)",
    replace: "current === undefined) return Result.succeed(undefined)"
  },
  {
    name: "one-hand-over-too-many",
    wrong: "A task is handed over once more than it may be.",
    file: "src/actors/internal/endings.ts",
    find: "handOver >= policy.handOversMax",
    replace: "handOver > policy.handOversMax"
  },
  {
    name: "one-completion-too-many",
    wrong: "A completion is tried once more than it may be.",
    file: "src/actors/internal/endings.ts",
    find: "completionAttempts >= policy.completionAttemptsMax",
    replace: "completionAttempts > policy.completionAttemptsMax"
  },
  {
    name: "completion-without-delay",
    wrong: "A completion that failed is tried again at once.",
    file: "src/actors/internal/evolve.ts",
    find: "      next.completionDueAt = event.until\n",
    replace: ""
  },
  {
    name: "merged-steps-counted-again",
    wrong: "Steps that are in the pull request already are taken off the count of those that are not.",
    file: "src/actors/internal/evolve.ts",
    find: "    if (step.merged) continue\n",
    replace: ""
  },
  {
    name: "interrupted-task-goes-out-again",
    wrong: "A task that is to be stopped is handed over again when its daemon turns out not to have it.",
    file: "src/actors/internal/endings.ts",
    find: `  if (task.interrupting) endTask(draft, task, "interrupted", undefined, reason)\n  else if`,
    replace: "  if"
  },
  {
    name: "archived-tasks-left",
    wrong: "Tasks without a daemon stay open when their directive is archived.",
    file: "src/actors/Directive.ts",
    find: `    if (isOpen(task)) stopTask(draft, task, "the directive was archived")`,
    replace: `    if (isOpen(task) && task.status !== "pending") stopTask(draft, task, "the directive was archived")`
  },
  {
    name: "hand-over-doubled",
    wrong: "A task that was handed over still waits for a daemon.",
    file: "src/actors/internal/evolve.ts",
    find: `  changeTask(next, task, { status: "starting", handOvers })`,
    replace: "  changeTask(next, task, { handOvers })"
  },
  {
    name: "task-not-queued-again",
    wrong: "A task whose hand-over failed is in no queue.",
    file: "src/actors/internal/evolve.ts",
    find: "  next.waiting = push(next.waiting, event.taskId)\n",
    replace: ""
  },
  {
    name: "answer-not-kept",
    wrong: "The answer to a command with an idempotency key is not recorded where the command changed nothing.",
    file: "src/actors/Directive.ts",
    find: "  if (commandId !== undefined) {\n    draft.record({",
    replace: "  if (commandId !== undefined && draft.events.length > 0) {\n    draft.record({"
  },
  {
    name: "key-not-looked-up",
    wrong: "A repeated command is carried out again.",
    file: "src/actors/Directive.ts",
    find: "  if (Option.isSome(known)) {",
    replace: "  if (Option.isSome(known) && state.status === \"draft\") {"
  },
  {
    name: "exclusion-without-an-end",
    wrong: "Nobody looks again when the exclusion of a daemon is over.",
    file: "src/actors/internal/evolve.ts",
    find: "  next.excludedUntil = Math.max(next.excludedUntil, event.excludedUntil)\n",
    replace: ""
  }
]
