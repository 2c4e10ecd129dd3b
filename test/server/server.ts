/** A whole server on a real socket and a real database, owners with a key each, and a way to talk to it as anybody. */
import { NodeCrypto } from "@effect/platform-node"
import { Context, Effect, Layer, Redacted } from "effect"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { OwnerId } from "../../src/events/Ids.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import type { Database } from "../../src/postgres/Database.ts"
import { Projections } from "../../src/projections/Projections.ts"
import { ReadModel } from "../../src/projections/ReadModel.ts"
import { ApiKeys } from "../../src/server/ApiKeys.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { layerDatabase } from "../support/postgres.ts"

export const alice = OwnerId.make("alice")
export const bob = OwnerId.make("bob")
/** Whoever has a daemon shares it with nobody, or it would do what other tests have started. */
export const carol = OwnerId.make("carol")

/** The keys of the owners. */
export class Keys extends Context.Service<Keys, {
  readonly alice: string
  readonly bob: string
  readonly carol: string
}>()("test/Keys") {}

const layerKeys = Layer.effect(
  Keys,
  Effect.gen(function*() {
    const keys = yield* ApiKeys
    const make = (ownerId: OwnerId) => Effect.map(keys.create(ownerId, "test"), ({ key }) => Redacted.value(key))
    return { alice: yield* make(alice), bob: yield* make(bob), carol: yield* make(carol) }
  })
)

const layerStoreOn = <E, R>(database: Layer.Layer<Database, E, R>) =>
  Layer.mergeAll(Projections.layer, layerKeys).pipe(
    Layer.provideMerge(Layer.mergeAll(PostgresEventLog.layer, ReadModel.layer, ApiKeys.layer)),
    Layer.provideMerge(database),
    Layer.provide(NodeCrypto.layerSecureRandom)
  )

/** Everything but actors. */
export const layerWorld = layerStoreOn(layerDatabase)

const layerActors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer, TaskOutput.layer))
)

export const layerRuntime = Layer.provideMerge(layerActors, layerWorld)

/** The same on a database that a test brings along. */
export const layerRuntimeOn = <E, R>(database: Layer.Layer<Database, E, R>) =>
  Layer.provideMerge(layerActors, layerStoreOn(database))

export const layerServer = HttpServer.layer({ host: "127.0.0.1", port: 0 }, Layer.empty).pipe(
  Layer.provideMerge(layerRuntime),
  Layer.provide(Layer.succeed(RequestsPerSecond, 100_000))
)

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into whatever came back
  readonly body: any
}

export interface Asking {
  readonly as?: "alice" | "bob" | "carol" | "nobody"
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends what a person with curl would send. A body that is a string goes as it is. */
export const ask = Effect.fnUntraced(function*(route: string, { as = "alice", body, headers }: Asking = {}) {
  const [method = "GET", path = "/"] = route.split(" ")
  const keys = yield* Keys
  const url = yield* HttpServer.url
  const response = yield* Effect.promise((signal) =>
    fetch(url + path, {
      method,
      signal,
      headers: {
        ...(as === "nobody" ? {} : { authorization: `Bearer ${keys[as]}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
    })
  )
  const text = yield* Effect.promise(() => response.text())
  const isJson = response.headers.get("content-type")?.includes("application/json") === true
  const answer: Answer = {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text
  }
  return answer
})

/** Asks and takes the answer for granted. */
export const tell = Effect.fnUntraced(function*(route: string, asking?: Asking) {
  const answer = yield* ask(route, asking)
  if (answer.status >= 300) throw new Error(`${route} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body
})

export const newDirective = (fields: object = {}, asking: Asking = {}) =>
  Effect.map(
    tell("POST /api/v1/directives", { ...asking, body: { title: "Greet", goal: "Say hello", ...fields } }),
    (body): string => body.directiveId
  )
