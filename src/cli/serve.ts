/** `makima serve`: the runtime behind its HTTP API and daemon endpoint, until it is stopped. */
import { Console, Context, Effect, Layer, Option } from "effect"
import { Command } from "effect/cli"
import { Leases } from "../actors/Leases.ts"
import * as DaemonEndpoint from "../daemon/DaemonEndpoint.ts"
import { layerRuntime } from "../Makima.ts"
import * as HttpServer from "../server/HttpServer.ts"
import * as Configuration from "./Configuration.ts"

const flags = {
  json: Configuration.json,
  ...Configuration.addressFlags,
  ...Configuration.nodeFlags,
  ...Configuration.storeFlags,
  ...Configuration.policyFlags
}

export const serve = Command.make("serve", flags, (input) => {
  const { advertiseUrl, host, json } = input
  const node = Option.getOrElse(input.node, () => `${host}:${input.port}`)
  const serverAt = (port: number) =>
    HttpServer.layer({ host, port }, DaemonEndpoint.layer).pipe(
      Layer.provideMerge(layerRuntime({ node, reconcile: Configuration.reconcileOf(input) })),
      Layer.provide([
        Configuration.layerDatabase(input),
        Configuration.layerPolicies(input),
        Configuration.layerLeaseTimes(input)
      ])
    )

  /** Serves for as long as this process has its lease, and says at which port. */
  const life = Effect.fnUntraced(function*(port: number, isFirst: boolean) {
    const server = yield* Layer.build(serverAt(port))
    const url = yield* Effect.provide(HttpServer.url, server)
    const leases = Context.get(server, Leases)
    yield* leases.advertise(Option.getOrElse(advertiseUrl, () => url))
    if (isFirst) yield* Console.log(json ? JSON.stringify({ url }) : `makima serves at ${url} (docs at ${url}/docs)`)
    yield* Effect.logWarning(`${yield* leases.lost}; it drops all that it was doing and starts anew`)
    return Number(new URL(url).port)
  }, Effect.scoped)

  return Effect.gen(function*() {
    yield* stopInTime
    let port = yield* life(input.port, true)
    while (true) port = yield* life(port, false)
  }).pipe(Effect.scoped, Effect.provide(Configuration.layerLogs("Info")))
}).pipe(Command.withDescription("Serve directives to clients and daemons"))

/**
 * How long a stop may take, in milliseconds. Clients have a second; only a database that does not answer takes longer, and
 * the next start deals with what it is owed then.
 */
const stopMillisMax = 8_000

const stopSignals = ["SIGINT", "SIGTERM"] as const

/** Being stopped is how serving ends, and no failure; and it ends. */
const stopInTime = Effect.acquireRelease(
  Effect.sync(() => {
    const onStop = () => {
      process.exitCode = 0
      // The process's own timer: what keeps it from ending may be any fiber, and it has to end all the same.
      setTimeout(() => process.exit(), stopMillisMax).unref()
    }
    for (const signal of stopSignals) process.once(signal, onStop)
    return onStop
  }),
  (onStop) =>
    Effect.sync(() => {
      for (const signal of stopSignals) process.off(signal, onStop)
    })
)
