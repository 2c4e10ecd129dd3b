/** What can be said to have happened to the daemons of one owner: one stream an owner. Heartbeats are not events. */
import { Schema } from "effect"
import type * as Evolution from "./Evolution.ts"
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

/** The types whose stored shape has changed, with all their versions. The others are of version 1. */
export const daemonEventChanged: Evolution.Changed<typeof DaemonEvent.cases> = {}
