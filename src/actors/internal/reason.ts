/**
 * Why an actor failed, for whoever asked: in words of ours, and with nothing that a database or a defect says. That may hold
 * hosts, statements and values, and is for the log of the server and the supervisor's events.
 */
import { Cause, Option } from "effect"
import type { EventLogError, StreamFenced, VersionConflict } from "../../events/EventLog.ts"
import type { UnreadableEvent } from "../../events/Unreadable.ts"

export type Failure = VersionConflict | StreamFenced | EventLogError | UnreadableEvent

export const reasonOf = (failure: Failure): string => {
  switch (failure._tag) {
    case "EventLogError":
      if (failure.refused === true) return "the event log refused what it had to record; the server's log says why"
      return failure.outcome === "unknown"
        ? "the event log could not be reached, and whether it has recorded this is not known"
        : "the event log could not be reached"
    case "UnreadableEvent": {
      const { position, schemaVersion, stream, type, version } = failure
      return `the ${type} (version ${schemaVersion}) at position ${position}, ${stream}@${version}, cannot be read`
    }
    // These have ids and numbers, and nothing else.
    case "VersionConflict":
    case "StreamFenced":
      return failure.message
  }
}

/** The same of all that ended it. Only who runs it knows what an interruption means. */
export const reasonIn = (cause: Cause.Cause<Failure>, whenInterrupted: string): string => {
  if (Cause.hasInterruptsOnly(cause)) return whenInterrupted
  return Option.match(Cause.findErrorOption(cause), {
    onNone: () => "it has a defect; the server's log says which",
    onSome: reasonOf
  })
}
