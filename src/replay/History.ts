/** All that a stream has, for whoever looks: also what cannot be read, and what comes after it. */
import { Stream } from "effect"
import type { EventLog, EventLogError } from "../events/EventLog.ts"
import type { LoggedEvent } from "../events/Unreadable.ts"

export const history = (log: EventLog["Service"], stream: string): Stream.Stream<LoggedEvent, EventLogError> =>
  Stream.catchTag(log.read(stream), "UnreadableEvent", ({ position }) =>
    // Only the log as a whole goes on beyond it.
    Stream.filter(log.readAll({ after: position - 1 }), (logged) => logged.stream === stream))
