/** `makima serve`: the runtime behind its HTTP API and daemon endpoint, until it is stopped. */
import { Console, Effect, Layer } from "effect"
import { Command } from "effect/cli"
import * as DaemonEndpoint from "../daemon/DaemonEndpoint.ts"
import { layerRuntime } from "../Makima.ts"
import * as HttpServer from "../server/HttpServer.ts"
import * as Configuration from "./Configuration.ts"

const flags = {
  json: Configuration.json,
  ...Configuration.addressFlags,
  ...Configuration.storeFlags,
  ...Configuration.policyFlags
}

export const serve = Command.make("serve", flags, (input) => {
  const server = HttpServer.layer(input, DaemonEndpoint.layer).pipe(
    Layer.provideMerge(
      layerRuntime({ node: `${input.host}:${input.port}`, reconcile: Configuration.reconcileOf(input) })
    ),
    Layer.provide([Configuration.layerDatabase(input), Configuration.layerPolicies(input)])
  )
  return Effect.gen(function*() {
    const url = yield* HttpServer.url
    yield* Console.log(input.json ? JSON.stringify({ url }) : `makima serves at ${url} (docs at ${url}/docs)`)
    return yield* Effect.never
  }).pipe(Effect.provide(server), Effect.provide(Configuration.layerLogs("Info")))
}).pipe(Command.withDescription("Serve directives to clients and daemons"))
