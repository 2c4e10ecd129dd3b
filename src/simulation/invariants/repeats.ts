/**
 * Invariant 8: a key is answered once in the log and always the same; a report leaves at most one trace; and a report that
 * has just been dealt with is put to the rules again, which must say nothing more. Reports that are on their way twice are
 * among what goes wrong in a run.
 */
import { Exit, Result, type Schema } from "effect"
import * as Directive from "../../actors/Directive.ts"
import type { Report } from "../../actors/DirectiveCommand.ts"
import { isOpen, taskOf } from "../../actors/DirectiveState.ts"
import { canonical } from "../../events/Chain.ts"
import type { RecordedEvent } from "../../events/EventLog.ts"
import type { DirectiveId, TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

export const repeats: Invariant = {
  name: "8",
  says: "Any message or report delivered twice changes nothing the second time.",
  make: ({ ledger, violated }) => {
    const answered = new Set<string>()
    const answers = new Map<string, string>()
    const traces = new Set<string>()

    const once = (set: Set<string>, what: string) => {
      if (set.has(what)) violated(`${what} once`, "it is in the log twice")
      set.add(what)
    }
    const again = ({ at, stream }: RecordedEvent, taskId: TaskId, handOver: number, status: Report["status"]) => {
      const state = ledger.directives.get(stream.slice("directive-".length) as DirectiveId)!
      const task = taskOf(state, taskId)!
      const its = task.handOvers.find((one) => one.handOver === handOver)
      // The same append may have taken the task from the daemon, or ended it otherwise: then its report is a stale one.
      if (its === undefined || (isOpen(task) ? its.failed : task.endedBy !== handOver)) return
      const report = { _tag: "ReportTask", taskId, handOver, daemonId: its.daemonId, status } as const
      const decided = Directive.decide(state, report, { now: at, policy: Directive.defaultPolicy })
      const events = Result.isSuccess(decided) ? decided.success.events : []
      if (events.length > 0) violated(`nothing from ${status} of task ${taskId} again`, events[0]!._tag)
    }

    return {
      committed: (events) => {
        for (const recorded of events) {
          const { event, stream } = recorded
          switch (event._tag) {
            case "CommandAnswered":
              once(answered, `an answer to ${event.commandId} in ${stream}`)
              break
            case "ReportIgnored":
              once(traces, `${event.report} of hand-over ${event.handOver} of task ${event.taskId}, ignored,`)
              break
            case "TaskStarted":
              once(traces, `the start of hand-over ${event.handOver} of task ${event.taskId}`)
              again(recorded, event.taskId, event.handOver, "running")
              break
            case "TaskCompleted":
              again(recorded, event.taskId, event.handOver, "completed")
              break
            case "TaskFailed":
              if (event.handOver !== undefined) again(recorded, event.taskId, event.handOver, "failed")
              break
            default:
          }
        }
      },
      response: ({ commandId, directiveId }, response) => {
        if (commandId === undefined || Exit.isFailure(response)) return
        const key = `${directiveId} ${commandId}`
        const text = canonical(JSON.parse(JSON.stringify(response.value.answer)) as Schema.Json)
        const first = answers.get(key)
        if (first !== undefined && first !== text) violated(`the first answer to ${commandId} again: ${first}`, text)
        answers.set(key, text)
      }
    }
  }
}
