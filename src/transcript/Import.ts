/** From a transcript to a log: the same hashes, versions, times and causes, and so the same states. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Schema, Stream } from "effect"
import type { EventLogError } from "../events/EventLog.ts"
import { type LogNotEmpty, restore } from "../events/PostgresRestore.ts"
import { check } from "./Check.ts"
import type { BrokenTranscript, Closing, Entry, Line } from "./Transcript.ts"

/** What has no texts proves that something happened, but cannot take its place. */
export class RedactedTranscript extends Schema.TaggedError<RedactedTranscript>()("RedactedTranscript", {}) {
  override get message(): string {
    return "its texts are redacted: it can be verified, but only a transcript with all texts can be imported"
  }
}

/**
 * Fills the log of a database that has none. It is checked on the way and becomes visible as a whole at the end: where
 * anything is wrong, nothing is imported.
 */
export const importTranscript = <E>(
  bytes: Stream.Stream<Uint8Array, E>
): Effect.Effect<Closing, E | BrokenTranscript | RedactedTranscript | LogNotEmpty | EventLogError, PgClient> =>
  Effect.suspend(() => {
    let closing: Closing | undefined
    const entriesOf = (page: ReadonlyArray<Line>): Stream.Stream<Entry, RedactedTranscript> => {
      const entries: Array<Entry> = []
      for (const line of page) {
        switch (line._tag) {
          case "Opening":
            if (line.opening.texts === "redacted") return Stream.fail(new RedactedTranscript())
            break
          case "Entry":
            entries.push(line.entry)
            break
          case "Closing":
            closing = line.closing
        }
      }
      return Stream.fromArray(entries)
    }
    return restore(Stream.flatMap(Stream.chunks(check(bytes)), entriesOf)).pipe(
      // Without its closing line it is no transcript, and the check has failed.
      Effect.map(() => closing!)
    )
  })
