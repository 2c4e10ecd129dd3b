import { assert, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { request } from "node:http"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { RateLimit, RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { ask, Keys, layerRuntime, layerServer } from "./server.ts"

it.effect("lets a key make its requests at once, and then as time passes, whatever other keys do", () =>
  Effect.gen(function*() {
    const limit = yield* RateLimit
    const take = Effect.repeat(limit.take("a"), { until: (wait) => wait > 0 })
    for (let index = 0; index < 4; index++) assert.strictEqual(yield* limit.take("a"), 0)
    assert.strictEqual(yield* limit.take("a"), 250)
    assert.strictEqual(yield* limit.take("b"), 0)
    yield* TestClock.adjust(100)
    assert.strictEqual(yield* limit.take("a"), 150)
    yield* TestClock.adjust(150)
    assert.strictEqual(yield* limit.take("a"), 0)
    assert.strictEqual(yield* limit.take("a"), 250)
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(yield* limit.take("a"), 0)
    assert.strictEqual(yield* take, 250)
  }).pipe(Effect.provide(Layer.provide(RateLimit.layer, Layer.succeed(RequestsPerSecond, 4)))))

const layerSlow = HttpServer.layer({ host: "127.0.0.1", port: 0 }, Layer.empty).pipe(
  Layer.provideMerge(layerRuntime),
  // After the first request there is one more in a hundred seconds: no test takes that long.
  Layer.provide(Layer.succeed(RequestsPerSecond, 0.01))
)

layer(layerSlow, { excludeTestServices: true })("A key that has used up its requests", (it) => {
  it.effect("is told when to come back, and others are not held up", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* ask("GET /api/v1/daemons")).status, 200)
      const refused = yield* ask("GET /api/v1/daemons")
      assert.deepStrictEqual([refused.status, refused.body.error.code], [429, "TooManyRequests"])
      assert.strictEqual(refused.headers.get("retry-after"), "100")
      assert.strictEqual((yield* ask("GET /api/v1/daemons", { as: "bob" })).status, 200)
      assert.strictEqual((yield* ask("GET /healthz", { as: "nobody" })).status, 200)
    }))
})

layer(layerServer, { excludeTestServices: true })("A body", (it) => {
  it.effect("of unknown length ends at 1 MiB", () =>
    Effect.gen(function*() {
      const keys = yield* Keys
      const url = yield* HttpServer.url
      const status = yield* Effect.callback<number | undefined>((resume) => {
        const sent = request(`${url}/api/v1/directives`, {
          method: "POST",
          headers: { authorization: `Bearer ${keys.alice}`, "content-type": "application/json" }
        })
        sent.on("response", (response) => {
          response.resume()
          resume(Effect.succeed(response.statusCode))
        })
        // The server hangs up on what is left.
        sent.on("error", () => {})
        const chunk = " ".repeat(64 * 1024)
        for (let index = 0; index < 17; index++) sent.write(chunk)
        sent.end()
      })
      assert.strictEqual(status, 413)
    }))
})
