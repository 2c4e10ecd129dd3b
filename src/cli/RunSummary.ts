/** What a run came to: for programs (spec section 9), for people, and what to try next. */
import { HashMap } from "effect"
import type * as Directive from "../actors/Directive.ts"
import { taskOf } from "../actors/DirectiveState.ts"
import * as BranchName from "../daemon/BranchName.ts"
import type { Step } from "../replay/Watch.ts"
import { clean, duration } from "./RunView.ts"

export interface Summary {
  readonly directiveId: string
  readonly status: string
  readonly branch: string | null
  readonly prUrl: string | null
  readonly steps: ReadonlyArray<{ readonly name: string; readonly status: string; readonly branch: string | null }>
  readonly events: number
  readonly position: number
}

export const summaryOf = ({ recorded, state }: Step): Summary => ({
  directiveId: state.id!,
  status: state.status,
  branch: state.prBranch ?? null,
  prUrl: state.prUrl ?? null,
  steps: HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence).map((step) => {
    const task = step.taskId === undefined ? undefined : taskOf(state, step.taskId)
    const hasBranch = step.status === "completed" && task !== undefined && state.repositoryUrl !== undefined
    return { name: step.name, status: step.status, branch: hasBranch ? BranchName.ofTask(task.name, task.id) : null }
  }),
  events: state.version,
  position: recorded.position
})

export const told = (title: string, summary: Summary, millis: number): string => {
  const completed = summary.steps.filter(({ status }) => status === "completed").length
  return [
    `${clean(title)}: ${summary.status} after ${duration(millis)}`,
    `  branch        ${summary.branch ?? "none"}`,
    `  pull request  ${summary.prUrl === null ? "none" : clean(summary.prUrl)}`,
    `  steps         ${completed} of ${summary.steps.length} completed`,
    ...summary.steps.map(({ branch, name, status }) =>
      `    ${status.padEnd(9)}  ${clean(name)}  ${branch ?? ""}`.trimEnd()
    ),
    `  events        ${summary.events}, up to log position ${summary.position}`
  ].join("\n")
}

/** Why the run did not go well, in one line; undefined when it did. */
export const problemOf = (state: Directive.State): string | undefined => {
  switch (state.status) {
    case "idle":
      return state.attention === undefined ? undefined : `the directive needs attention: ${clean(state.attention)}`
    case "paused":
      return `the directive is paused: ${clean(state.pausedBecause ?? "no reason was given")}`
    case "stalled": {
      const failed = HashMap.toValues(state.steps).filter(({ status }) => status === "failed")
      const which = failed.map(({ failure, name }) => `${clean(name)} (${clean(failure ?? "failed")})`).join(", ")
      return `the directive is stalled: ${which} failed and holds up ${state.dag.counts.pending} more`
    }
    default:
      return `the directive is ${state.status}`
  }
}
