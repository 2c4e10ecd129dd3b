/** The log of a run as bytes that can be compared: a line an event, in one form only. */
import type { Schema } from "effect"
import { canonical } from "../events/Chain.ts"
import type { RecordedEvent } from "../events/EventLog.ts"
import { json } from "../replay/LogLine.ts"

export const lines = (events: ReadonlyArray<RecordedEvent>): string =>
  events.map((recorded) => `${recorded.hash} ${canonical(json(recorded) as unknown as Schema.Json)}\n`).join("")
