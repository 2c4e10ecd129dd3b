/** What can be said to have happened to the daemons of one owner: one stream an owner. Heartbeats are not events. */
import { Schema } from "effect"
import { DaemonId } from "./Ids.ts"

export const DaemonEvent = Schema.TaggedUnion({
  DaemonConnected: {
    daemonId: DaemonId,
    machineId: Schema.String,
    hostname: Schema.String,
    maxConcurrentTasks: Schema.Natural
  },
  /** The connection ended. The daemon is suspect: it keeps its tasks until `lostAt`, milliseconds since 1970. */
  DaemonSuspected: { daemonId: DaemonId, reason: Schema.String, lostAt: Schema.Natural },
  /** It was away too long: its tasks go to other daemons. */
  DaemonLost: { daemonId: DaemonId }
})
export type DaemonEvent = typeof DaemonEvent.Type
