/** Invariant 4, from the events alone. A task is in flight from its making to its end, whether a daemon has it or not. */
import type { TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

export const inFlight: Invariant = {
  name: "4",
  says: "At most one planning and one completion task of a directive are in flight.",
  make: ({ violated }) => {
    const current = new Map<string, TaskId>()
    const places = new Map<TaskId, string>()
    return {
      event: ({ event, stream }) => {
        switch (event._tag) {
          case "TaskCreated": {
            if (event.kind === "step") return
            const place = `${event.kind} task of ${stream}`
            const before = current.get(place)
            if (before !== undefined) violated(`one ${place} at a time`, `${event.taskId} while ${before} is in flight`)
            current.set(place, event.taskId)
            places.set(event.taskId, place)
            return
          }
          case "TaskCompleted":
          case "TaskFailed":
          case "TaskInterrupted": {
            const place = places.get(event.taskId)
            if (place !== undefined) current.delete(place)
            return
          }
          default:
        }
      }
    }
  }
}
