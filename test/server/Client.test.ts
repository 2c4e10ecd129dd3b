import { assert, it, layer } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { DirectiveId } from "../../src/events/Ids.ts"
import { type ApiClient, MakimaClient } from "../../src/server/Client.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { freePort } from "../support/freePort.ts"
import { Keys, layerServer } from "./server.ts"

const nowhere = DirectiveId.make("00000000-0000-4000-8000-000000000000")

const connect = (url: string, key: string) =>
  Effect.provide(MakimaClient, MakimaClient.layer({ url, apiKey: Redacted.make(key) }))

const failing = (client: MakimaClient["Service"], use: (api: ApiClient) => Effect.Effect<unknown, unknown>) =>
  Effect.map(Effect.flip(client.call(use)), ({ code, message }) => `${code}: ${message}`)

const daemons = (api: ApiClient) => api.daemons.list({ query: {} })

layer(layerServer, { excludeTestServices: true })("The client", (it) => {
  it.effect("does what the API does", () =>
    Effect.gen(function*() {
      const client = yield* connect(`${yield* HttpServer.url}/`, (yield* Keys).alice)
      const created = yield* client.call((api) =>
        api.directives.create({ headers: {}, payload: { title: "Greet", goal: "Say hello", start: true } })
      )
      const params = { id: created.directiveId }
      const many = yield* client.call((api) =>
        api.directives.addSteps({
          params,
          headers: { "idempotency-key": "k" },
          payload: { steps: [{ key: "a", name: "A" }, { name: "B", dependsOn: ["a"] }] }
        })
      )
      const one = yield* client.call((api) => api.directives.addSteps({ params, headers: {}, payload: { name: "C" } }))
      assert.deepStrictEqual([many.steps?.length, one.steps?.length], [2, 1])
      const shown = yield* client.call((api) => api.directives.get({ params, query: { after: one.position } }))
      assert.deepStrictEqual(shown.steps.map(({ name }) => name), ["A", "B", "C"])
      yield* client.call((api) =>
        api.memories.set({ params: { ...params, key: "a/b c" }, headers: {}, payload: { value: "v" } })
      )
      const events = yield* Stream.runCollect(
        Stream.take(client.stream((api) => api.directives.events({ params, query: { follow: true }, headers: {} })), 2)
      )
      assert.deepStrictEqual(events.map(({ event }) => event._tag), ["DirectiveCreated", "DirectiveStarted"])
      const output = yield* client.stream((api) => api.tasks.output({ params: { id: shown.tasks[0]!.id }, query: {} }))
        .pipe(Stream.decodeText, Stream.mkString)
      assert.strictEqual(output, "")
    }))

  it.effect("says what went wrong in one line", () =>
    Effect.gen(function*() {
      const url = yield* HttpServer.url
      const key = (yield* Keys).alice
      const client = yield* connect(url, key)
      assert.strictEqual(
        yield* failing(client, (api) => api.directives.get({ params: { id: nowhere }, query: {} })),
        `DirectiveNotFound: There is no directive ${nowhere}`
      )
      assert.strictEqual(
        yield* failing(yield* connect(url, "mk_wrong"), daemons),
        "Unauthorized: 401: the API key was not accepted"
      )
      const created = { headers: {}, payload: { title: " ", goal: "Say hello" } }
      assert.strictEqual(
        yield* failing(client, (api) => api.directives.create(created)),
        "InvalidField: title: is empty"
      )
      const refused = yield* Effect.flip(
        Stream.runDrain(
          client.stream((api) => api.directives.events({ params: { id: nowhere }, query: {}, headers: {} }))
        )
      )
      assert.strictEqual(refused.message, `There is no directive ${nowhere}`)
    }))
})

it.live("says that nobody answers, or somebody else", () =>
  Effect.gen(function*() {
    const url = `http://127.0.0.1:${yield* Effect.promise(freePort)}`
    assert.strictEqual(
      yield* failing(yield* connect(url, "mk_any"), daemons),
      `NoConnection: connection refused at ${url}: is makima serve running?`
    )
    assert.strictEqual(
      yield* failing(yield* connect("not a url", "mk_any"), daemons),
      "InvalidUrl: \"not a url\" is not a URL"
    )
  }))

it.live("says that what answers is no makima server", () =>
  Effect.gen(function*() {
    const html = yield* listen((response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>"))
    assert.match(
      yield* failing(yield* connect(html, "mk_any"), daemons),
      /^UnexpectedAnswer: .*is it a makima server\?$/
    )
    const broken = yield* listen((response) => response.writeHead(502).end("Bad gateway"))
    assert.strictEqual(
      yield* failing(yield* connect(broken, "mk_any"), daemons),
      `UnexpectedAnswer: ${broken} answered with status 502: is it a makima server?`
    )
    const hangsUp = yield* listen((response) => response.destroy())
    assert.strictEqual(
      yield* failing(yield* connect(hangsUp, "mk_any"), daemons),
      `NoConnection: no connection to ${hangsUp}: socket hang up`
    )
  }).pipe(Effect.scoped))

const listen = (answer: (response: ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
      const server = createServer((_, response) => answer(response)).listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, close: () => server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ url }) => url))
