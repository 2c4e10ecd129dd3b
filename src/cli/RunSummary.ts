/** What a run came to: for programs (spec section 9), for people, and why it did not go well. */
import { HashMap } from "effect"
import { displayWidth } from "effect/cli/CliOutput"
import type * as Directive from "../actors/Directive.ts"
import { taskOf } from "../actors/DirectiveState.ts"
import * as BranchName from "../daemon/BranchName.ts"
import type { Step } from "../replay/Watch.ts"
import { briefly, clean, cut, duration, fit, linesOf, quoted } from "./OneLine.ts"

export interface Summary {
  readonly directiveId: string
  readonly status: string
  readonly branch: string | null
  readonly prUrl: string | null
  readonly steps: ReadonlyArray<{ readonly name: string; readonly status: string; readonly branch: string | null }>
  readonly events: number
  readonly position: number
}

const stepsOf = (state: Directive.State): ReadonlyArray<Directive.Step> =>
  HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence)

/** Only a completed step's branch was pushed for certain. */
const branchOf = (state: Directive.State, step: Directive.Step): string | null => {
  const task = step.taskId === undefined ? undefined : taskOf(state, step.taskId)
  const isPushed = step.status === "completed" && task !== undefined && state.repositoryUrl !== undefined
  return isPushed ? BranchName.ofTask(task.name, task.id) : null
}

export const summaryOf = ({ recorded, state }: Step): Summary => ({
  directiveId: state.id!,
  status: state.status,
  branch: state.prBranch ?? null,
  prUrl: state.prUrl ?? null,
  steps: stepsOf(state).map((step) => ({ name: step.name, status: step.status, branch: branchOf(state, step) })),
  events: state.version,
  position: recorded.position
})

const nameWidthMax = 50
/** The last lines of what a failed step's agent said. */
const failureLinesMax = 5

export const told = ({ recorded, state }: Step, millis: number): string => {
  const steps = stepsOf(state)
  const completed = steps.filter(({ status }) => status === "completed").length
  const nameWidth = Math.min(nameWidthMax, Math.max(0, ...steps.map(({ name }) => displayWidth(clean(name)))))
  const line = (step: Directive.Step) => {
    const name = fit(cut(clean(step.name), nameWidth), nameWidth)
    return `    ${step.status.padEnd(9)}  ${name}  ${branchOf(state, step) ?? ""}`.trimEnd()
  }
  const failure = ({ failure, status }: Directive.Step) => {
    if (status !== "failed") return []
    const [first = "failed", ...output] = linesOf(failure ?? "")
    return [first, ...output.slice(-failureLinesMax)].map((text) => `               ${text}`)
  }
  return [
    `${clean(state.title)}: ${state.status} after ${duration(millis)}`,
    `  branch        ${state.prBranch ?? "none"}`,
    `  pull request  ${state.prUrl === undefined ? "none" : clean(state.prUrl)}`,
    `  steps         ${completed} of ${steps.length} completed`,
    ...steps.flatMap((step) => [line(step), ...failure(step)]),
    `  events        ${state.version}, up to log position ${recorded.position}`
  ].join("\n")
}

/** Why the run did not go well, in one line; undefined when it did. */
export const problemOf = (state: Directive.State): string | undefined => {
  switch (state.status) {
    case "idle":
      if (state.attention !== undefined) return `the directive needs attention: ${briefly(state.attention)}`
      return failuresIn(state)
    case "paused":
      return `the directive is paused: ${briefly(state.pausedBecause ?? "no reason was given")}`
    case "stalled":
      return `the directive is stalled: ${failuresIn(state)}`
    default:
      return `the directive is ${state.status}`
  }
}

/** Which steps failed, and which of the others wait for them. */
const failuresIn = (state: Directive.State): string | undefined => {
  const failed = stepsOf(state).filter(({ status }) => status === "failed")
  if (failed.length === 0) return undefined
  const said = listed(failed.map(({ failure, name }) => `${quoted(name)} failed (${briefly(failure ?? "no reason")})`))
  const waiting = stepsOf(state).filter(({ draft, status }) => status === "pending" && !draft)
  if (waiting.length === 0) return said
  const verb = waiting.length === 1 ? "1 step waits for" : `${waiting.length} steps wait for`
  return `${said}; ${verb} ${failed.length === 1 ? "it" : "them"}: ${listed(waiting.map(({ name }) => quoted(name)))}`
}

const namesMax = 3

const listed = (items: ReadonlyArray<string>): string =>
  [...items.slice(0, namesMax), ...(items.length > namesMax ? [`${items.length - namesMax} more`] : [])].join(", ")
