/**
 * Invariant 7: every answer, at the moment it is given, against the log, and every frame that is sent to a daemon
 * against the event that it follows from; and every event against the requests that were made. What was committed stays committed here
 * by construction: that a durable log keeps it is for `test/crash` to say.
 */
import { Exit } from "effect"
import type { Schema } from "effect"
import { canonical } from "../../events/Chain.ts"
import type { StoredEvent } from "../../events/EventLog.ts"
import type { Invariant, Request } from "../Invariant.ts"

type Answered = Extract<StoredEvent, { readonly _tag: "CommandAnswered" }>

export const acknowledged: Invariant = {
  name: "7",
  says: "What was acknowledged survives any crash; what was not acknowledged has no visible effect.",
  make: ({ events, ledger, violated }) => {
    const requests = new Map<string, Request>()
    const answers = new Map<string, { readonly answered: Answered; readonly position: number }>()
    /** What is in the log that frames follow from. */
    const facts = new Set<string>()
    /** Hand-overs that have come to their daemons. One that speaks of others is lying, and has nothing to forget. */
    const begun = new Set<string>()

    return {
      request: (request) => {
        if (request.commandId !== undefined) requests.set(request.commandId, request)
      },
      event: ({ commandId, event, position, stream }) => {
        if (commandId !== undefined) {
          const request = requests.get(commandId)
          if (request === undefined) violated("events of commands that somebody gave", `${event._tag} for ${commandId}`)
          if (`directive-${request!.directiveId}` !== stream) {
            violated(`${commandId} for ${request!.directiveId}`, stream)
          }
        }
        switch (event._tag) {
          case "CommandAnswered":
            answers.set(`${stream} ${event.commandId}`, { answered: event, position })
            return
          case "TaskHandedOver":
            return void facts.add(`spawnTask ${event.taskId} ${event.handOver} ${event.daemonId}`)
          case "InterruptRequested":
          case "TaskCompleted":
          case "TaskFailed":
          case "TaskInterrupted":
            return void facts.add(`interruptTask ${event.taskId}`)
          case "DaemonConnected":
            return void facts.add(`authenticated ${event.daemonId}`)
          default:
        }
      },
      response: ({ command, commandId, directiveId }, response) => {
        if (Exit.isFailure(response)) return
        const { answer, position } = response.value
        const head = events.at(-1)?.position ?? 0
        if (position > head) {
          violated(`an answer that is in the log, which ends at ${head}`, `one from position ${position}`)
        }
        if (commandId === undefined) return
        const known = answers.get(`directive-${directiveId} ${commandId}`)
        if (known === undefined) return violated(`the answer to ${command._tag} (${commandId}) in the log`, "none")
        const { command: first } = known.answered
        if (first !== undefined && first !== command._tag) {
          violated(`that ${commandId} stands for ${first} alone`, `an answer to ${command._tag}`)
        }
        if (known.position > position) violated(`an answer from ${known.position} on`, `one from position ${position}`)
        const [given, kept] = [textOf(answer), textOf(known.answered.answer)]
        if (given !== kept) violated(`the answer ${kept} to ${commandId}`, given)
      },
      start: ({ daemonId }, { handOver, taskId }) => void begun.add(`${daemonId} ${taskId} ${handOver}`),
      frame: ({ daemonId, name }, frame) => {
        if (frame.type === "reported") {
          const current = ledger.currentOf(frame.taskId)
          if (current === undefined || current.daemonId !== daemonId || current.handOver !== frame.handOver) return
          if (!begun.has(`${daemonId} ${frame.taskId} ${frame.handOver}`)) return
          return violated(`the end of task ${frame.taskId} in the log before ${name} may forget it`, "it is open")
        }
        const fact = frame.type === "spawnTask"
          ? `spawnTask ${frame.taskId} ${frame.handOver} ${daemonId}`
          : frame.type === "interruptTask"
          ? `interruptTask ${frame.taskId}`
          : frame.type === "authenticated"
          ? `authenticated ${daemonId}`
          : undefined
        if (fact !== undefined && !facts.has(fact)) violated("what is sent in the log before", `${fact} for ${name}`)
      }
    }
  }
}

const textOf = (answer: unknown): string => canonical(JSON.parse(JSON.stringify(answer)) as Schema.Json)
