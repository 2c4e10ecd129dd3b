/**
 * The HTTP server: the API of `Api.ts`, its documentation at `/docs`, and whatever routes others bring along.
 *
 * Closing it ends what goes on for as long as somebody listens, and lets other requests that are under way end, for a second.
 */
import { NodeCrypto, NodeHttpServer } from "@effect/platform-node"
import { Deferred, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder, HttpApiScalar } from "effect/http-api"
import { createServer } from "node:http"
import { Api } from "./Api.ts"
import { Forwarding } from "./Forwarding.ts"
import { layerAuthorization } from "./internal/authorization.ts"
import { layerHandlers } from "./internal/handlers.ts"
import { layerFallback, layerProblems } from "./internal/problems.ts"
import { Stopping } from "./internal/stopping.ts"
import { RateLimit } from "./RateLimit.ts"

export interface Address {
  readonly host: string
  /** 0 takes any that is free: `url` says which. */
  readonly port: number
}

/** The API, `/docs`, `/openapi.json`, and an answer to everything that has no route. */
export const routes = Layer.mergeAll(
  HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }),
  HttpApiScalar.layer(Api, { path: "/docs" }),
  layerFallback
).pipe(
  Layer.provide(layerHandlers),
  Layer.provide([layerProblems, layerAuthorization]),
  Layer.provide([RateLimit.layer, Forwarding.layer, NodeCrypto.layerSecureRandom])
)

const closeMillisMax = 1_000

/** Paths hold keys of memories, which can be long. */
const pathSegmentCharsMax = 2_000

/** Serves `routes` and more of them, such as that of the daemons, at an address. */
export const layer = <E, R>({ host, port }: Address, more: Layer.Layer<never, E, R>) =>
  Layer.suspend(() => {
    const stopping = Deferred.makeUnsafe<void>()
    // On top of what is served, so that it comes first: the server waits for answers to end, and does not end them.
    return Layer.effectDiscard(Effect.addFinalizer(() => Deferred.succeed(stopping, undefined))).pipe(
      Layer.provideMerge(HttpRouter.serve(Layer.mergeAll(routes, more), {
        disableListenLog: true,
        disableLogger: true,
        routerConfig: { maxParamLength: pathSegmentCharsMax }
      })),
      Layer.provide(Layer.succeed(Stopping, Deferred.await(stopping)))
    )
  }).pipe(
    Layer.provide(NodeCrypto.layerSecureRandom),
    Layer.provideMerge(NodeHttpServer.layer(createServer, { host, port, gracefulShutdownTimeout: closeMillisMax }))
  )

/** Where the server can be reached, with the port that it really has. */
export const url: Effect.Effect<string, never, HttpServer.HttpServer> = HttpServer.addressFormattedWith(Effect.succeed)
