/**
 * What a process believes of its daemons' slots, in its memory, against the log: one that is kept for nothing is missing to
 * everybody. For a while it may be so, as while a hand-over is on its way to the log. What daemons work on for nobody, which
 * takes room as well, is not looked at.
 */
import type { Assigned, Invariant } from "../Invariant.ts"

/** Looked at every half minute. */
const everyTicks = 6
/** For what is on its way to the log, and for actors that come back. */
const timesInRunMax = 5

export const slots: Invariant = {
  name: "slots",
  says: "No slot is kept for a task that its daemon is not to have.",
  make: ({ assigned, isSettled, isUp, ledger, violated }) => {
    /** How often each was seen that is kept for nothing. */
    let kept: ReadonlyMap<string, number> = new Map()
    let ticks = 0

    const look = (timesMax: number) => {
      const still = new Map<string, number>()
      for (const slot of assigned()) {
        const { daemon, node, taskId } = slot
        if (!isUp(node) || ledger.currentOf(taskId)?.daemonId === daemon.daemonId) continue
        const times = (kept.get(keyOf(slot)) ?? 0) + 1
        if (times > timesMax) {
          violated("slots for what is handed over", `${node} keeps one of ${daemon.name} for ${taskId}`)
        }
        still.set(keyOf(slot), times)
      }
      kept = still
    }

    return {
      tick: () => {
        ticks += 1
        if (ticks % everyTicks === 0) look(timesInRunMax)
      },
      end: () => {
        if (isSettled()) look(0)
      }
    }
  }
}

const keyOf = ({ daemon, node, taskId }: Assigned): string => `${node} ${daemon.name} ${taskId}`
