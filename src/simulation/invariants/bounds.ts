/**
 * Section 8, how often and how soon something is tried again, from the events alone: hand-overs of a task, attempts of a
 * completion. It does not look at which daemon a task goes to: those that just failed to take it may be all there are.
 */
import { defaultPolicy } from "../../actors/Directive.ts"
import type { Invariant } from "../Invariant.ts"

const { completionAttemptsMax, handOversMax } = defaultPolicy

export const bounds: Invariant = {
  name: "bounds",
  says: "What fails is tried as often as the policy has it, and not sooner.",
  make: ({ violated }) => {
    /** When each directive may try its completion again. */
    const dueAt = new Map<string, number>()
    return {
      event: ({ at, event, stream }) => {
        switch (event._tag) {
          case "TaskHandedOver":
            if (event.handOver <= handOversMax) return
            return violated(`at most ${handOversMax} hand-overs of task ${event.taskId}`, `${event.handOver}`)
          case "CompletionDelayed":
            return void dueAt.set(stream, event.until)
          case "TaskCreated": {
            const { attempt = 1, kind } = event
            if (kind !== "completion") return
            if (attempt > completionAttemptsMax) {
              violated(`at most ${completionAttemptsMax} attempts of a completion`, `${attempt}`)
            }
            // The first is one that is asked for, or for something new.
            const due = dueAt.get(stream) ?? 0
            if (attempt > 1 && at < due) violated(`attempt ${attempt} of a completion from ${due} on`, `one at ${at}`)
            return
          }
          default:
        }
      }
    }
  }
}
