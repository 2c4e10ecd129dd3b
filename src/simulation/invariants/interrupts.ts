/**
 * An interrupt reaches its daemon, and one that has come back with a task that had ended is told to stop: in a moment while
 * nothing goes wrong, and else as soon as can be asked. It says nothing of agents of earlier hand-overs, which may run on until they end.
 */
import { currentHandOver, isOpen, type Task, taskOf } from "../../actors/DirectiveState.ts"
import type { TaskId } from "../../events/Ids.ts"
import type { Invariant, ObservedDaemon } from "../Invariant.ts"
import { isUndisturbed } from "../Profile.ts"

/** For frames, and for a process that comes up. */
const patienceMillis = 20_000
/** For all that may go wrong meanwhile: a frozen process, a store that is away. */
const longPatienceMillis = 480_000

export const interrupts: Invariant = {
  name: "interrupts",
  says: "A daemon is told to stop what nobody wants of it.",
  make: ({ calmSince, daemons, ledger, now, profile, violated }) => {
    const isCalm = isUndisturbed(profile)
    const endedAt = new Map<TaskId, number>()
    const since = new Map<string, number>()

    /** Whether nobody wants it of a daemon any more, and the daemon should know. */
    const isUnwanted = (task: Task, { connectedSince, daemonId }: ObservedDaemon, calm: number): boolean =>
      isOpen(task)
        ? task.interrupting && currentHandOver(task)?.daemonId === daemonId
        : calm < Infinity && (endedAt.get(task.id) ?? Infinity) < connectedSince

    return {
      event: ({ event }) => {
        switch (event._tag) {
          case "TaskCompleted":
          case "TaskFailed":
          case "TaskInterrupted":
            endedAt.set(event.taskId, now())
            return
          default:
        }
      },
      tick: () => {
        const calm = isCalm ? 0 : calmSince()
        const patience = calm === undefined ? longPatienceMillis : patienceMillis
        for (const daemon of daemons()) {
          for (const [taskId, { isInterrupted }] of daemon.running) {
            const key = `${daemon.name} ${taskId}`
            const state = ledger.directives.get(ledger.directiveOf(taskId)!)!
            if (isInterrupted || !daemon.isConnected || !isUnwanted(taskOf(state, taskId)!, daemon, calm ?? Infinity)) {
              since.delete(key)
              continue
            }
            const from = since.get(key) ?? now()
            since.set(key, from)
            if (now() - from <= patience) continue
            violated(
              `that ${daemon.name} hears within ${patience / 1000} s to stop task ${taskId}`,
              "it works on"
            )
          }
        }
      }
    }
  }
}
