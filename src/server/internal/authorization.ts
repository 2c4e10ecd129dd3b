/** Whose request it is, and whether the key has requests left. */
import { Effect, Layer, Option, Redacted } from "effect"
import { HttpServerRequest } from "effect/http"
import { Authorization, CurrentOwner } from "../Api.ts"
import { Unauthorized } from "../ApiError.ts"
import { ApiKeys } from "../ApiKeys.ts"
import { Forwarding } from "../Forwarding.ts"
import { RateLimit } from "../RateLimit.ts"
import { errorResponse } from "./problems.ts"
import { refuse } from "./rejections.ts"

const noKey = new Unauthorized({
  error: { code: "Unauthorized", message: "It needs an API key: Authorization: Bearer <key>" }
})
const wrongKey = new Unauthorized({ error: { code: "Unauthorized", message: "The API key was not accepted" } })

export const layerAuthorization = Layer.effect(
  Authorization,
  Effect.gen(function*() {
    const keys = yield* ApiKeys
    const limit = yield* RateLimit
    const forwarding = yield* Forwarding
    return Authorization.of({
      apiKey: Effect.fnUntraced(function*(httpEffect, { credential }) {
        const key = Redacted.value(credential)
        if (key === "") return yield* Effect.fail(noKey)
        const ownerId = yield* keys.verify(credential).pipe(Effect.catch(refuse))
        if (Option.isNone(ownerId)) return yield* Effect.fail(wrongKey)
        const waitMillis = yield* limit.take(key)
        if (waitMillis > 0) return tooManyRequests(waitMillis)
        const request = yield* HttpServerRequest.HttpServerRequest
        const here = Effect.provideService(httpEffect, CurrentOwner, ownerId.value)
        return yield* forwarding.answer(request, ownerId.value, here)
      })
    })
  })
)

/** Made here and not by the schema, for the sake of its header. */
const tooManyRequests = (waitMillis: number) => {
  const seconds = Math.ceil(waitMillis / 1000)
  return errorResponse(
    429,
    { code: "TooManyRequests", message: `Too many requests: wait ${seconds} s`, details: { retryAfter: seconds } },
    { "retry-after": String(seconds) }
  )
}
