/**
 * Section 3, in the end: a directive that is idle or stalled has nothing that it could do. It goes by the steps as they are
 * folded, and not by the counts that the rules keep; what a pull request has in it comes from the events.
 */
import { HashMap } from "effect"
import type { State, Step } from "../../actors/DirectiveState.ts"
import type { StepId, TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

export const rests: Invariant = {
  name: "rests",
  says: "A directive is idle only with its goal done and stalled only with nothing that could go on.",
  make: ({ isSettled, ledger, violated }) => {
    const contents = new Map<TaskId, ReadonlyArray<StepId>>()
    const inPullRequest = new Set<StepId>()

    const check = (state: State) => {
      const steps = HashMap.toValues(state.steps)
      const told = (step: Step) => `step ${JSON.stringify(step.name)} of ${JSON.stringify(state.title)}`
      if (state.plannedRevision < state.goalRevision) {
        violated(
          `a plan for revision ${state.goalRevision} of the goal`,
          `${state.title} is ${state.status} without one`
        )
      }
      for (const step of steps) {
        if (isFinished(step) || step.status === "failed") continue
        if (state.status === "idle") violated("all steps finished", `${told(step)} is ${step.status}`)
        if (isFree(step, steps)) violated(`a reason to be stalled`, `${told(step)} is ${step.status} and could go`)
      }
      if (state.status !== "idle" || state.repositoryUrl === undefined || state.attention !== undefined) return
      const missing = steps.find((step) => step.status === "completed" && !inPullRequest.has(step.id))
      if (missing !== undefined) violated("a pull request with all completed steps", `${told(missing)} is in none`)
    }

    return {
      event: ({ event }) => {
        if (event._tag === "TaskCreated" && event.contents !== undefined) contents.set(event.taskId, event.contents)
        if (event._tag !== "TaskCompleted") return
        for (const stepId of contents.get(event.taskId) ?? []) inPullRequest.add(stepId)
      },
      end: () => {
        if (!isSettled()) return
        for (const state of ledger.directives.values()) {
          if (state.status === "idle" || state.status === "stalled") check(state)
        }
      }
    }
  }
}

const isFinished = ({ status }: Step): boolean => status === "completed" || status === "skipped"

/** Whether nothing keeps a step from being carried out. */
const isFree = (step: Step, steps: ReadonlyArray<Step>): boolean =>
  steps.every((other) =>
    isFinished(other) || other.draft || (other.orderIndex >= step.orderIndex && !step.dependsOn.includes(other.id))
  )
