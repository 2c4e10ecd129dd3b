/**
 * Invariant 3, twice: what the log says a daemon has, and what a daemon really has when it is given another task. Daemons
 * that say what is not so about others' tasks are no exception. What a daemon that comes back no longer has does not count:
 * its directive may not have come up yet after a crash, and only that one can put it into the log.
 */
import type { DaemonId, OwnerId, TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

export const places: Invariant = {
  name: "3",
  says: "No daemon ever has more tasks than it said it can take, nor a task of another owner.",
  make: ({ daemons: real, ledger, violated }) => {
    const daemons = new Map<DaemonId, { readonly owner: string; readonly max: number }>()
    const held = new Map<DaemonId, Set<TaskId>>()
    const holder = new Map<TaskId, DaemonId>()

    const release = (taskId: TaskId) => {
      const daemonId = holder.get(taskId)
      if (daemonId !== undefined) held.get(daemonId)!.delete(taskId)
      holder.delete(taskId)
    }

    return {
      event: ({ event, stream }) => {
        switch (event._tag) {
          case "DaemonConnected": {
            const { daemonId, maxConcurrentTasks } = event
            daemons.set(daemonId, { owner: stream.slice("daemons-".length), max: maxConcurrentTasks })
            const running = real().find((daemon) => daemon.daemonId === daemonId)?.running
            for (const taskId of held.get(daemonId) ?? []) if (running?.has(taskId) === false) release(taskId)
            return
          }
          case "TaskHandedOver": {
            const { daemonId, taskId } = event
            const daemon = daemons.get(daemonId)
            if (daemon === undefined) {
              return violated("a daemon that has connected", `task ${taskId} goes to ${daemonId}`)
            }
            const owner = ownerOf(ledger.directives.get(ledger.directiveOf(taskId)!)!.ownerId)
            if (owner !== daemon.owner) {
              violated(`a daemon of ${owner}`, `task ${taskId} goes to one of ${daemon.owner}`)
            }
            const tasks = held.get(daemonId) ?? new Set()
            held.set(daemonId, tasks.add(taskId))
            holder.set(taskId, daemonId)
            if (tasks.size > daemon.max) violated(`at most ${daemon.max} tasks of daemon ${daemonId}`, `${tasks.size}`)
            return
          }
          case "HandOverFailed":
          case "TaskCompleted":
          case "TaskFailed":
          case "TaskInterrupted":
            return release(event.taskId)
          default:
        }
      },
      start: ({ maxConcurrentTasks, name, ownerId, running }, { directiveId, taskId }) => {
        if (running.size >= maxConcurrentTasks) {
          violated(`at most ${maxConcurrentTasks} tasks of ${name}`, `it has ${running.size} and gets task ${taskId}`)
        }
        const owner = directiveId === null ? undefined : ledger.directives.get(directiveId)?.ownerId
        if (owner !== ownerId) violated(`tasks of ${ownerId} for ${name}`, `one of ${String(owner)}`)
      }
    }
  }
}

const ownerOf = (ownerId: OwnerId): string => ownerId
