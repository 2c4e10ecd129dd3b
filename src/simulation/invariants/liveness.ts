/**
 * Invariant 9, while nothing goes wrong: a task that may go out does, once there is a daemon for it; and in the end every
 * directive is at rest. How soon depends on whether anything has ever gone wrong: a runtime that nothing has happened to
 * needs no reconciliation. It does not say that what is done is what was asked for.
 */
import { HashMap } from "effect"
import * as Directive from "../../actors/Directive.ts"
import { currentHandOver, isOpen, type State } from "../../actors/DirectiveState.ts"
import type { DaemonId, DirectiveId } from "../../events/Ids.ts"
import { why } from "../../replay/Why.ts"
import type { Invariant, Observed, ObservedDaemon } from "../Invariant.ts"

/** A reconciliation interval, and what a process needs to come up. */
const patienceMillis = 20_000
/** A connection that was just made says first what it has. */
const settledAfterMillis = 15_000

export const liveness: Invariant = {
  name: "9",
  says:
    "A ready step of an active directive is handed over within one reconciliation interval of a fitting daemon having " +
    "room; a directive whose tasks all end comes to idle, stalled or paused in finite time.",
  make: (observed) => {
    const { calmSince, clock, daemons, isSettled, ledger, now, violated } = observed
    const waitingSince = new Map<DirectiveId, number>()

    return {
      tick: () => {
        const since = calmSince()
        if (since === undefined || now() - since < settledAfterMillis) return
        const loads = loadsOf(ledger.directives.values())
        for (const state of ledger.directives.values()) {
          const waiting = waitsInVain(state, daemons(), loads, clock(), now())
          if (!waiting) {
            waitingSince.delete(state.id!)
            continue
          }
          const from = waitingSince.get(state.id!) ?? now()
          waitingSince.set(state.id!, from)
          if (now() - from > patienceMillis) {
            violated(`a hand-over within ${patienceMillis / 1000} s of a daemon having room`, told(observed, state))
          }
        }
      },
      end: () => {
        if (isSettled()) return
        const stuck = [...ledger.directives.values()].filter((state) => !isAtRest(state))
        violated(
          "every directive at rest once nothing goes wrong any more",
          stuck.map((state) => told(observed, state)).join("; ") || "requests without an answer"
        )
      }
    }
  }
}

/** Whether a directive does nothing more by itself. */
export const isAtRest = (state: State): boolean => {
  const open = [...HashMap.values(state.tasks)].filter(isOpen)
  switch (state.status) {
    case "active":
      return false
    case "paused":
      // What waits for a daemon goes on waiting, and what a daemon has runs on.
      return open.every(({ status }) => status === "pending")
    case "stalled":
      // Tasks of steps wait there too, where a plan has put lower levels below theirs.
      return open.every(({ kind, status }) => kind === "step" && status === "pending") &&
        Directive.dueAt(state, 0) === undefined
    case "idle":
      return open.length === 0 && Directive.dueAt(state, 0) === undefined
    case "draft":
    case "archived":
      return open.length === 0
  }
}

/** How many tasks each daemon has, as the log says. */
const loadsOf = (states: Iterable<State>): ReadonlyMap<DaemonId, number> => {
  const loads = new Map<DaemonId, number>()
  for (const state of states) {
    for (const task of HashMap.values(state.tasks)) {
      const current = isOpen(task) ? currentHandOver(task) : undefined
      if (current !== undefined) loads.set(current.daemonId, (loads.get(current.daemonId) ?? 0) + 1)
    }
  }
  return loads
}

const waitsInVain = (
  state: State,
  daemons: ReadonlyArray<ObservedDaemon>,
  loads: ReadonlyMap<DaemonId, number>,
  clock: number,
  now: number
): boolean => {
  for (const task of Directive.waitingTasks(state)) {
    const excluded = task.exclusions.filter(({ until }) => until > clock - settledAfterMillis)
    const fits = daemons.some((daemon) =>
      daemon.ownerId === state.ownerId && daemon.isConnected && now - daemon.connectedSince >= settledAfterMillis &&
      Math.max(loads.get(daemon.daemonId) ?? 0, daemon.running.size) < daemon.maxConcurrentTasks &&
      !excluded.some(({ daemonId }) => daemonId === daemon.daemonId)
    )
    if (fits) return true
  }
  return false
}

/** Which directive waits for what. */
const told = ({ clock, daemons }: Observed, state: State): string => {
  const known = daemons().filter(({ ownerId }) => ownerId === state.ownerId)
    .map(({ daemonId, isConnected, maxConcurrentTasks, name, running }) => ({
      daemonId,
      hostname: name,
      status: isConnected ? "connected" as const : "suspect" as const,
      free: Math.max(0, maxConcurrentTasks - running.size)
    }))
  const { directive, steps } = why(state, known, clock())
  const some = steps.slice(0, 3).map(({ because, name }) => `${JSON.stringify(name)}: ${because}`)
  return [`${JSON.stringify(state.title)} (${state.status}): ${directive}`, ...some].join(" ")
}
