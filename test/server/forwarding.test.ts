/** What a server passes on whose owner another one has: both are here, on one database, and the test says who has whom. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Queue, Scope } from "effect"
import { request } from "node:http"
import { Leases, type LeasesService, LeaseUnknown, type Location } from "../../src/actors/Leases.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { open, runningTask } from "./goingOn.ts"
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

interface Stops {
  readonly home: Effect.Effect<void>
  readonly passing: Effect.Effect<void>
  /** Another server has the owner from now on. */
  readonly move: Effect.Effect<void>
}

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

  live(
    "what goes on, with its end: whole if either server stops, and broken off if the other one is gone",
    () =>
      Effect.gen(function*() {
        const own = HttpServer.layer({ host: "127.0.0.1", port: 0 }, Layer.empty)
        const output = yield* TaskOutput
        const { taskId } = yield* runningTask
        yield* output.append(taskId, "thinking\n")
        /** Follows the output through two servers, and says how that ends. */
        const endsBy = (end: (stop: Stops) => Effect.Effect<void>) =>
          Effect.gen(function*() {
            const [home, passing] = [yield* Scope.make(), yield* Scope.make()]
            const owner = yield* Layer.buildWithScope(Layer.fresh(own), home)
            const url = yield* Effect.provide(HttpServer.url, owner)
            let location: Location = { _tag: "Elsewhere", node: "home", url }
            const at = yield* another(() => Effect.sync(() => location)).pipe(Scope.provide(passing))
            const { ended, lines } = yield* open(`/api/v1/tasks/${taskId}/output?follow=true`, {}, at)
            assert.strictEqual(yield* Queue.take(lines), "thinking")
            yield* end({
              home: Scope.close(home, Exit.void),
              passing: Scope.close(passing, Exit.void),
              move: Effect.sync(() => {
                location = { _tag: "Here" }
              })
            })
            const how = yield* ended
            yield* Effect.all([Scope.close(passing, Exit.void), Scope.close(home, Exit.void)])
            return how
          })
        assert.strictEqual(yield* endsBy(({ home }) => home), "whole")
        assert.strictEqual(yield* endsBy(({ passing }) => passing), "whole")
        assert.strictEqual(yield* endsBy(({ move }) => move), "broken off")
      })
  )

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
