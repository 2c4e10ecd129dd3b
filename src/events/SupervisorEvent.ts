/**
 * What can be said to have happened to the actors of one process: one stream a process.
 *
 * Times are milliseconds since 1970, UTC.
 */
import { Schema } from "effect"
import type * as Evolution from "./Evolution.ts"

export const SupervisorEvent = Schema.TaggedUnion({
  /** It runs, for the first time or again after a failure. */
  ActorStarted: { address: Schema.String },
  /** Without a reason it was told to. */
  ActorStopped: { address: Schema.String, reason: Schema.optionalKey(Schema.Literal("passivated")) },
  /** With `outage` it was the store that failed, which does not count towards the restarts of a period. */
  ActorFailed: {
    address: Schema.String,
    cause: Schema.String,
    at: Schema.Natural,
    outage: Schema.optionalKey(Schema.Literal(true))
  },
  /** It comes back from the log at `at`. */
  ActorRestartScheduled: { address: Schema.String, at: Schema.Natural },
  /**
   * It failed too often in a short time: it stays down until somebody resumes it. `cause` is for whoever asks; the failure
   * before says more.
   */
  ActorParked: { address: Schema.String, at: Schema.Natural, cause: Schema.String },
  /** Somebody resumed it: its failures are forgotten, and the next message starts it. */
  ActorResumed: { address: Schema.String, at: Schema.Natural },
  /** Another process has claimed its stream, in this epoch: it stays away until somebody sends it a message after `until`. */
  ActorTakenOver: { address: Schema.String, epoch: Schema.Natural, until: Schema.Natural }
})
export type SupervisorEvent = typeof SupervisorEvent.Type

/** The types whose stored shape has changed, with all their versions. The others are of version 1. */
export const supervisorEventChanged: Evolution.Changed<typeof SupervisorEvent.cases> = {}
