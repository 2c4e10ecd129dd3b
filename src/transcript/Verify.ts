/** Whether hash chains hold: of a log as it is stored, or of a transcript. */
import { Effect, Result, Stream } from "effect"
import { hash } from "node:crypto"
import { canonical } from "../events/Chain.ts"
import type { EventLog, EventLogError } from "../events/EventLog.ts"
import { check } from "./Check.ts"
import { type BrokenLog, follow } from "./Export.ts"
import { Heads, type Removal } from "./Heads.ts"
import { upToFailure } from "./internal/upToFailure.ts"
import type { BrokenTranscript, Closing, Opening } from "./Transcript.ts"

export interface Verified {
  readonly events: number
  readonly heads: Closing["heads"]
  /** The streams of which only a removal is left. */
  readonly removed: ReadonlyArray<Removal>
}

export interface VerifiedTranscript extends Verified {
  readonly opening: Opening
  readonly digest: string
}

/** All streams from their first events on. Fails at the first event that does not fit. */
export const verifyLog = (log: EventLog["Service"]): Effect.Effect<Verified, EventLogError | BrokenLog> =>
  Effect.suspend(() => {
    const heads = new Heads()
    let events = 0
    return log.readAll().pipe(
      Stream.map((logged) => Result.map(follow(heads, logged), () => events += 1)),
      upToFailure,
      Stream.runDrain,
      Effect.map(() => ({ events, heads: heads.entries(), removed: heads.removals }))
    )
  })

export const verifyTranscript = <E>(
  bytes: Stream.Stream<Uint8Array, E>
): Effect.Effect<VerifiedTranscript, E | BrokenTranscript> =>
  Effect.suspend(() => {
    let opening: Opening | undefined
    let closing: (Closing & Pick<Verified, "removed">) | undefined
    return check(bytes).pipe(
      Stream.runForEachArray((lines) =>
        Effect.sync(() => {
          const [first, last] = [lines[0], lines.at(-1)]
          if (first?._tag === "Opening") opening = first.opening
          if (last?._tag === "Closing") closing = { ...last.closing, removed: last.removed }
        })
      ),
      // A transcript without one of them is broken, and the check has said so.
      Effect.map(() => ({ opening: opening!, ...closing! }))
    )
  })

/** All heads in one number: logs for which it is the same have the same streams with the same events. */
export const digestOf = (heads: Closing["heads"]): string => hash("sha256", canonical(heads))
