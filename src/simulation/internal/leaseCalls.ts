/**
 * The calls of processes to the table of leases, which is in the store as well: each goes there and back, and a take-over
 * may come late, or its answer not at all.
 */
import { Effect } from "effect"
import { LeaseUnknown } from "../../actors/Leases.ts"
import type { Carry } from "../../actors/MemoryLeases.ts"
import { broken, unreachable, type Way } from "./way.ts"

export const carryOver = (way: Way): Carry => (node, method, call) =>
  Effect.suspend(() => {
    if (way.isClosed()) return lost(unreachable)
    if (method !== "takeOver") return call
    const { faults } = way
    const about = way.keyOf(`take-over by ${node}`)
    const isLate = faults.strikes(
      "takeOverLate",
      about,
      () => `${node} gives up a look for processes that are dead, which comes later`
    )
    if (isLate) return Effect.andThen(comeLate(way, call, faults.chance(about).spread(1, 120_000)), lost(broken))
    return Effect.flatMap(call, (answer) => {
      if (!Array.isArray(answer) || answer.length === 0) return Effect.succeed(answer)
      const isLost = faults.strikes("takeOverAnswerLost", about, () => `${node} takes over, and is not told`)
      return isLost ? lost(broken) : Effect.succeed(answer)
    })
  })

/** It waits on its way for as long as nobody reaches the store. */
const comeLate = (way: Way, call: Effect.Effect<unknown, LeaseUnknown>, millis: number): Effect.Effect<unknown> =>
  Effect.sleep(millis).pipe(
    Effect.andThen(Effect.suspend(() => Effect.sleep(Math.max(0, way.closedUntil - way.time.now)))),
    Effect.andThen(call),
    Effect.ignore,
    Effect.forkDetach
  )

const lost = (because: string) => Effect.fail(new LeaseUnknown({ because }))
