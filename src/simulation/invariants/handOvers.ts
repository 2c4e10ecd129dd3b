/**
 * Invariant 2, from the events alone: hand-overs are numbered, one of a task is current, a task ends once, by the
 * first success there is of it, and its step ends with it and as it did. What daemons really do is not looked at: a hand-over that came to nothing may still run.
 */
import type { StepId, TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

interface Task {
  readonly stepId: StepId | undefined
  handOvers: number
  current: number | undefined
  ended: "completed" | "failed" | undefined
  isApplied: boolean
  isInterrupted: boolean
}

export const handOvers: Invariant = {
  name: "2",
  says: "At most one hand-over of a task is current, and a task's result is applied exactly once.",
  make: ({ violated }) => {
    const tasks = new Map<TaskId, Task>()
    /** The task that each step has, unless it was given up. */
    const taskOf = new Map<StepId, TaskId>()
    let endedNow: Array<TaskId> = []

    const open = (taskId: TaskId, what: string): Task => {
      const task = tasks.get(taskId)
      if (task === undefined) return violated(`a task ${taskId}`, `none, and it ${what}`)
      if (task.ended !== undefined) violated(`nothing more of task ${taskId}, which has ${task.ended}`, `it ${what}`)
      return task
    }
    const end = (taskId: TaskId, how: "completed" | "failed", handOver: number | undefined, what: string) => {
      const task = open(taskId, what)
      const isKnown = handOver === undefined ||
        (how === "completed" ? handOver <= task.handOvers : handOver === task.current)
      if (!isKnown) {
        violated(
          how === "completed"
            ? "a success of one of its hand-overs"
            : `a failure of hand-over ${task.current}, which is current`,
          `task ${taskId} ${what} by hand-over ${handOver}`
        )
      }
      if (how === "completed" && handOver === 0) {
        violated("hand-overs from 1 on", `task ${taskId} ${what} by hand-over 0`)
      }
      task.ended = how
      endedNow.push(taskId)
    }
    const apply = (stepId: StepId, taskId: TaskId, how: "completed" | "failed") => {
      const task = tasks.get(taskId)
      if (task?.ended !== how || task.stepId !== stepId) {
        violated(`a step that ends as its task`, `step ${stepId} has ${how}`)
      }
      if (task!.isApplied) violated(`the result of task ${taskId} once`, "it is applied again")
      task!.isApplied = true
    }

    return {
      event: ({ event }) => {
        switch (event._tag) {
          case "TaskCreated":
            tasks.set(event.taskId, {
              stepId: event.stepId,
              handOvers: 0,
              current: undefined,
              ended: undefined,
              isApplied: false,
              isInterrupted: false
            })
            if (event.stepId !== undefined) {
              const before = tasks.get(taskOf.get(event.stepId)!)
              if (before !== undefined) violated("one task at a time", `step ${event.stepId} gets another`)
              taskOf.set(event.stepId, event.taskId)
            }
            return
          case "TaskHandedOver": {
            const task = open(event.taskId, "is handed over")
            if (task.current !== undefined) {
              violated(`hand-over ${task.current} of task ${event.taskId} alone`, `hand-over ${event.handOver} as well`)
            }
            if (task.isInterrupted) violated(`no hand-over of task ${event.taskId}, which is to be stopped`, "one")
            if (event.handOver !== task.handOvers + 1) violated(`hand-over ${task.handOvers + 1}`, `${event.handOver}`)
            task.handOvers = task.current = event.handOver
            return
          }
          case "InterruptRequested":
            open(event.taskId, "is to be stopped").isInterrupted = true
            return
          case "HandOverFailed": {
            const task = open(event.taskId, "is taken back")
            if (task.current !== event.handOver) {
              violated(`hand-over ${task.current} is current`, `${event.handOver} fails`)
            }
            task.current = undefined
            return
          }
          case "TaskStarted": {
            const task = open(event.taskId, "starts")
            if (task.current !== event.handOver) {
              violated(`hand-over ${task.current} is current`, `${event.handOver} starts`)
            }
            return
          }
          case "TaskCompleted":
            return end(event.taskId, "completed", event.handOver, "completes")
          case "TaskFailed":
            return end(event.taskId, "failed", event.handOver, "fails")
          case "TaskInterrupted":
            return end(event.taskId, "failed", event.handOver, "is interrupted")
          case "ReportIgnored":
            if (event.report !== "completed" || tasks.get(event.taskId)?.ended !== undefined) return
            return violated(`the success of task ${event.taskId} by hand-over ${event.handOver}`, "it is ignored")
          case "StepCompleted":
            return apply(event.stepId, event.taskId, "completed")
          case "StepFailed":
            return apply(event.stepId, event.taskId, "failed")
          case "StepSkipped":
          case "StepRetried":
            return void taskOf.delete(event.stepId)
          default:
        }
      },
      committed: () => {
        for (const taskId of endedNow) {
          const { ended, isApplied, stepId } = tasks.get(taskId)!
          if (stepId !== undefined && taskOf.get(stepId) === taskId && !isApplied) {
            violated(`step ${stepId} ends with its task`, `task ${taskId} has ${ended}, and its step goes on`)
          }
        }
        endedNow = []
      }
    }
  }
}
