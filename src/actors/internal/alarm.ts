/** How an actor is woken at the time that its state waits for. */
import { Clock, Effect, Fiber } from "effect"

/** One timer at a time: each new due time takes the place of the one before. */
export const make = Effect.fnUntraced(function*(ring: Effect.Effect<void>) {
  const scope = yield* Effect.scope
  let armed: { readonly due: number; readonly fiber: Fiber.Fiber<void> } | undefined
  const set = Effect.fnUntraced(function*(due: number | undefined) {
    if (armed !== undefined) yield* Fiber.interrupt(armed.fiber)
    armed = undefined
    if (due === undefined) return
    const wait = Math.max(0, due - (yield* Clock.currentTimeMillis))
    const fiber = yield* Effect.sleep(wait).pipe(
      Effect.andThen(Effect.sync(() => {
        armed = undefined
      })),
      Effect.andThen(ring),
      Effect.forkIn(scope)
    )
    armed = { due, fiber }
  })
  // After every batch, and hardly ever is there anything to do.
  return (due: number | undefined): Effect.Effect<void> => armed?.due === due ? Effect.void : set(due)
})
