/** What a server passes on whose owner another one has: both are here, on one database, and the test says who has whom. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { request } from "node:http"
import { Leases, type LeasesService, LeaseUnknown } from "../../src/actors/Leases.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { Keys, layerServer, newDirective } from "./server.ts"

/** Asks for exactly this path, which `fetch` would tidy up first. */
const askRaw = Effect.fnUntraced(function*(url: string, method: string, path: string, value?: string) {
  const { alice } = yield* Keys
  const { hostname, port } = new URL(url)
  const headers = {
    authorization: `Bearer ${alice}`,
    ...(value === undefined ? {} : { "content-type": "application/json" })
  }
  return yield* Effect.callback<{ readonly status: number; readonly text: string }>((resume) => {
    const asked = request({ host: hostname, port, method, path, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part) => text += part)
      response.on("end", () => resume(Effect.succeed({ status: response.statusCode!, text })))
    })
    asked.end(value === undefined ? undefined : JSON.stringify({ value }))
  })
})

/** The address of a server that finds owners in this way. */
const another = Effect.fnUntraced(function*(locate: LeasesService["locate"]) {
  const leases = yield* Leases
  const server = yield* Layer.build(
    Layer.fresh(HttpServer.layer({ host: "127.0.0.1", port: 0 }, Layer.empty)).pipe(
      Layer.provide([Layer.succeed(Leases)({ ...leases, locate }), Layer.succeed(RequestsPerSecond)(100_000)])
    )
  )
  return yield* Effect.provide(HttpServer.url, server)
})

const live = (
  name: string,
  test: () => Effect.Effect<
    void,
    unknown,
    Effect.Services<ReturnType<typeof another>> | Layer.Success<typeof layerServer>
  >
) => it.live(name, () => test().pipe(Effect.scoped, Effect.provide(layerServer)))

describe("A server passes on", () => {
  live("the keys of memories as they are, but none that a client could not ask for", () =>
    Effect.gen(function*() {
      const id = yield* newDirective()
      const home = yield* HttpServer.url
      const url = yield* another(() => Effect.succeed({ _tag: "Elsewhere", node: "home", url: home }))
      const keys = ["a%2Fb", "..%2F..%2Fhealthz", "%25", "%5C", "a%20b%3F%23", "%C3%A4", "...", "%2e%2e%2e"]
      for (const key of keys) {
        const path = `/api/v1/directives/${id}/memories/${key}`
        const set = yield* askRaw(url, "PUT", path, key)
        assert.strictEqual(set.status, 200, set.text)
        const got = yield* askRaw(home, "GET", `${path}?after=${JSON.parse(set.text).position}`)
        assert.strictEqual(JSON.parse(got.text).key, decodeURIComponent(key))
        assert.strictEqual((yield* askRaw(url, "DELETE", path)).status, 200)
      }
      // What a URL cannot have is refused by both.
      for (const key of [".", "..", "%2e", "%2E%2e", ".%2E"]) {
        for (const server of [home, url]) {
          const { status } = yield* askRaw(server, "PUT", `/api/v1/directives/${id}/memories/${key}`, "value")
          assert.strictEqual(status, 404, `${key} at ${server === home ? "home" : "the other"}`)
        }
      }
    }))

  live("nothing of what is wrong to whoever asks, nor a key to the log", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const { alice } = yield* Keys
      yield* Effect.gen(function*() {
        const id = yield* newDirective()
        const path = `/api/v1/directives/${id}/pause`
        const unknown = yield* another(() => Effect.fail(new LeaseUnknown({ because: "connect 10.0.0.5:5432" })))
        const nowhere = yield* another(() =>
          Effect.succeed({ _tag: "Elsewhere", node: "b", url: "http://127.0.0.1:1" })
        )
        for (const url of [unknown, nowhere]) {
          const { status, text } = yield* askRaw(url, "POST", path)
          assert.strictEqual(status, 503)
          assert.notMatch(text, /5432|127\.0\.0\.1/)
        }
      }).pipe(Effect.provide(Logger.layer([
        Logger.map(Logger.formatJson, (line) => void lines.push(line)),
        Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))
      ])))
      assert.match(lines.join("\n"), /could not be passed on/)
      assert.match(lines.join("\n"), /10\.0\.0\.5:5432/)
      assert.notInclude(lines.join("\n"), alice)
    }))
})
