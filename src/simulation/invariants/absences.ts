/**
 * Section 8, daemons that are away: they are lost after the grace period and not before, and only what a lost daemon had is
 * taken from it for that. Where nothing happens to stores, processes and connections, nobody is away and nothing fails.
 */
import { defaultPolicy } from "../../actors/DaemonRegistry.ts"
import type { DaemonId, TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"
import { isUndisturbed } from "../Profile.ts"

export const absences: Invariant = {
  name: "absences",
  says: "A healthy daemon keeps what it has; only one that stays away for the grace period loses it.",
  make: ({ profile, violated }) => {
    const suspects = new Map<DaemonId, number>()
    /** The position at which each daemon was last lost. */
    const lost = new Map<DaemonId, number>()
    const handOvers = new Map<TaskId, number>()
    const isCalm = isUndisturbed(profile)

    return {
      event: ({ at, event, position }) => {
        switch (event._tag) {
          case "DaemonConnected":
            return void suspects.delete(event.daemonId)
          case "DaemonSuspected": {
            const { daemonId, lostAt } = event
            suspects.set(daemonId, lostAt)
            if (isCalm) violated("daemons that stay connected", `daemon ${daemonId} is suspect: ${event.reason}`)
            const from = at + defaultPolicy.graceMillis
            if (lostAt < from) violated(`that daemon ${daemonId} has until ${from} to come back`, `${lostAt}`)
            return
          }
          case "DaemonLost": {
            const lostAt = suspects.get(event.daemonId)
            lost.set(event.daemonId, position)
            if (lostAt === undefined) violated("a daemon that is suspect", `daemon ${event.daemonId} is lost`)
            if (at < lostAt!) {
              violated(`that daemon ${event.daemonId} has until ${lostAt} to come back`, `it is lost at ${at}`)
            }
            return
          }
          case "TaskHandedOver":
            return void handOvers.set(event.taskId, position)
          case "HandOverFailed": {
            const { daemonId, handOver, reason, taskId } = event
            const what = `hand-over ${handOver} of task ${taskId} to daemon ${daemonId}`
            if (isCalm) violated(`that ${what} goes well`, `it fails: ${reason}`)
            if (!reason.endsWith("was lost") || (lost.get(daemonId) ?? 0) > handOvers.get(taskId)!) return
            return violated(`that ${what} lasts`, "it is taken back, and the daemon has not been lost since")
          }
          case "ActorFailed":
            if (isCalm) violated("actors that go on", `${event.address} fails: ${event.cause.slice(0, 500)}`)
            return
          default:
        }
      }
    }
  }
}
