/**
 * Invariant 5: what is committed, as it is committed, and what a subscriber gets who comes and goes. The log itself is the
 * one in memory; that the durable one gives the same is what `testing/EventLogContract.ts` is for.
 */
import * as Chain from "../../events/Chain.ts"
import type { Invariant } from "../Invariant.ts"

const hashedEvery = 8

export const sequence: Invariant = {
  name: "5",
  says: "Versions in a stream have no gaps; positions only grow; a subscriber sees every event once, in order.",
  make: ({ events, seen, violated }) => {
    const heads = new Map<string, { readonly version: number; readonly hash: string }>()
    let position = 0
    let checked = 0
    /** How many events there were when that was last looked at. */
    let before = 0

    /** A subscriber has what is in the log, as far as it has got: at least up to where the log was a moment ago. */
    const compare = () => {
      const got = seen()
      for (; checked < got.length; checked += 1) {
        const [expected, found] = [events[checked], got[checked]]
        if (expected !== found) {
          violated(`${expected?.stream}@${expected?.version} for the subscriber`, `${found?.stream}@${found?.version}`)
        }
      }
      if (checked < before) violated(`${before} events for the subscriber within a moment`, `${checked}, and it waits`)
    }

    return {
      event: (recorded) => {
        const { stream, version } = recorded
        const before = heads.get(stream) ?? { version: 0, hash: Chain.start }
        if (version !== before.version + 1) violated(`version ${before.version + 1} of ${stream}`, `${version}`)
        if (recorded.position <= position) violated(`a position over ${position}`, `${recorded.position}`)
        // Hashing costs more than all else here, and a chain that is made wrongly is wrong everywhere.
        if (recorded.position % hashedEvery === 0 || version === 1) {
          const hash = Chain.next(before.hash, Chain.contentOf(recorded))
          if (recorded.hash !== hash) violated(`the hash ${hash} of ${stream}@${version}`, recorded.hash)
        }
        heads.set(stream, { version, hash: recorded.hash })
        position = recorded.position
      },
      tick: () => {
        compare()
        before = events.length
      },
      end: compare
    }
  }
}
