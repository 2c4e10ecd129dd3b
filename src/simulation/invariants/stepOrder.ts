/**
 * Invariant 1, from the events alone, without the counts that the rules keep. Looked at when a step becomes ready and when
 * its task is handed over. It does not check that a step that may start ever does: that is invariant 9.
 */
import type { StepId, TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

interface Step {
  readonly name: string
  readonly dependsOn: ReadonlyArray<StepId>
  readonly orderIndex: number
  /** Of a plan that is not accepted: it holds nothing up. */
  isDraft: boolean
  isFinished: boolean
}

export const stepOrder: Invariant = {
  name: "1",
  says: "A step starts only when all its dependencies and all lower orderIndexes are completed or skipped.",
  make: ({ violated }) => {
    const streams = new Map<string, Map<StepId, Step>>()
    const tasks = new Map<TaskId, StepId>()

    const mayStart = (steps: ReadonlyMap<StepId, Step>, stepId: StepId, what: string) => {
      const step = steps.get(stepId)!
      if (step.isDraft) violated(`no step of a plan that is not accepted ${what}`, JSON.stringify(step.name))
      for (const id of step.dependsOn) {
        const dependency = steps.get(id)!
        if (!dependency.isFinished) {
          violated(`${JSON.stringify(dependency.name)} first`, `${JSON.stringify(step.name)} ${what}`)
        }
      }
      for (const other of steps.values()) {
        if (other.orderIndex >= step.orderIndex || other.isDraft || other.isFinished) continue
        violated(
          `${JSON.stringify(other.name)} with orderIndex ${other.orderIndex} first`,
          `${JSON.stringify(step.name)} with orderIndex ${step.orderIndex} ${what}`
        )
      }
    }

    return {
      event: ({ event, stream }) => {
        switch (event._tag) {
          case "StepAdded": {
            const steps = streams.get(stream) ?? new Map<StepId, Step>()
            const { dependsOn, name, orderIndex, plannedBy, stepId } = event
            streams.set(
              stream,
              steps.set(stepId, { name, dependsOn, orderIndex, isDraft: plannedBy !== undefined, isFinished: false })
            )
            return
          }
          case "PlanAccepted":
            for (const step of streams.get(stream)?.values() ?? []) step.isDraft = false
            return
          case "StepReadied":
            return mayStart(streams.get(stream)!, event.stepId, "becomes ready")
          case "StepCompleted":
          case "StepSkipped": {
            const step = streams.get(stream)!.get(event.stepId)!
            step.isFinished = true
            step.isDraft = false
            return
          }
          case "TaskCreated":
            if (event.stepId !== undefined) tasks.set(event.taskId, event.stepId)
            return
          case "TaskHandedOver": {
            const stepId = tasks.get(event.taskId)
            if (stepId !== undefined) mayStart(streams.get(stream)!, stepId, "is handed over")
            return
          }
          default:
        }
      }
    }
  }
}
