/** How many requests a key may make: a bucket of tokens for each, which fills up as time passes. */
import { Clock, Context, Effect, Layer } from "effect"

/** Requests a second for one key; as many may come at once, and at least one. */
export const RequestsPerSecond = Context.Reference("makima-runtime/server/RequestsPerSecond", {
  defaultValue: () => 50
})

interface Bucket {
  tokens: number
  filledAt: number
}

export class RateLimit extends Context.Service<RateLimit, {
  /** Takes a token: 0, or the milliseconds to wait when there is none. Only keys that are good may get here. */
  take(key: string): Effect.Effect<number>
}>()("makima-runtime/server/RateLimit") {
  static readonly layer = Layer.effect(
    RateLimit,
    Effect.gen(function*() {
      const perSecond = yield* RequestsPerSecond
      const tokensMax = Math.max(1, perSecond)
      const buckets = new Map<string, Bucket>()
      return RateLimit.of({
        take: (key) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const bucket = buckets.get(key) ?? { tokens: tokensMax, filledAt: now }
            buckets.set(key, bucket)
            // The clock may have been set back.
            const passed = Math.max(0, now - bucket.filledAt)
            bucket.tokens = Math.min(tokensMax, bucket.tokens + passed * perSecond / 1000)
            bucket.filledAt = now
            if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) * 1000 / perSecond)
            bucket.tokens -= 1
            return 0
          })
      })
    })
  )
}
