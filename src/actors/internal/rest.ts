/** When an actor has been idle for long enough. It takes one timer, which is not touched while the actor is busy. */
import { Clock, Context, Effect, type Scope } from "effect"

/** How long an actor has nothing to do before it is passivated, in milliseconds. */
export const PassivationMillis = Context.Reference<number>("makima-runtime/actors/PassivationMillis", {
  defaultValue: () => 600_000
})

export interface Rest {
  /** The actor had something to do at this time. */
  readonly interrupt: (now: number) => void
  /** Whether it has had nothing to do for long enough. */
  readonly isOver: (now: number) => boolean
  /** Sees to it that the bell rings when it has. */
  readonly begin: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*(ring: () => void): Effect.fn.Return<Rest, never, Scope.Scope> {
  const millis = yield* PassivationMillis
  const scope = yield* Effect.scope
  let last = yield* Clock.currentTimeMillis
  let isTimed = !Number.isFinite(millis)

  const wait = Effect.gen(function*() {
    for (let left = millis; left > 0; left = last + millis - (yield* Clock.currentTimeMillis)) yield* Effect.sleep(left)
    isTimed = false
    ring()
  })
  return {
    interrupt: (now) => {
      last = now
    },
    isOver: (now) => now - last >= millis,
    begin: Effect.suspend(() => {
      if (isTimed) return Effect.void
      isTimed = true
      return Effect.asVoid(Effect.forkIn(wait, scope))
    })
  }
})
