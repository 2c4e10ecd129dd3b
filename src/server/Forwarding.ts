/**
 * What an owner asks for is done by the server that has the owner. Any other passes the request on to that one, as it is and
 * once, and gives its answer back as it comes.
 *
 * What is answered from read models or the log is answered by whichever server is asked.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Effect, Layer, Stream } from "effect"
import {
  Headers,
  HttpClient,
  HttpClientRequest,
  type HttpMethod,
  type HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { Leases, type LeasesService, LeaseTimes } from "../actors/Leases.ts"
import type { OwnerId } from "../events/Ids.ts"
import { errorResponse } from "./internal/problems.ts"
import { untilStop } from "./internal/stopping.ts"

/** Says that a request was passed on once already. */
export const forwardedHeader = "makima-forwarded"

export class Forwarding extends Context.Service<Forwarding, {
  /** Answers a request of an owner here, or has the server that has the owner answer it. */
  answer<E, R>(
    request: HttpServerRequest.HttpServerRequest,
    ownerId: OwnerId,
    here: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
}>()("makima-runtime/server/Forwarding") {
  static readonly layer = Layer.effect(
    Forwarding,
    Effect.gen(function*() {
      const leases = yield* Leases
      const client = yield* HttpClient.HttpClient
      const { renewMillis } = yield* LeaseTimes
      return Forwarding.of({
        answer: Effect.fnUntraced(function*(request, ownerId, here) {
          if (!isForItsServer(request)) return yield* here
          const location = yield* leases.locate(ownerId).pipe(
            Effect.catch((error) =>
              Effect.as(
                Effect.logWarning(error.message),
                unavailable("which server has this owner cannot be found out")
              )
            )
          )
          if (HttpServerResponse.isHttpServerResponse(location)) return location
          if (location._tag === "Here") return yield* here
          const { node, url } = location
          if (url === undefined || forwardedHeader in request.headers) return unavailable(`${node} has this owner`)
          // A server that stands still says nothing at all, until another has taken over from it.
          const gone = Effect.as(moved(leases, ownerId, node, renewMillis), unavailable(`${node} has ended`))
          return yield* Effect.raceFirst(pass(client, request, url, gone), gone)
        })
      })
    })
  ).pipe(Layer.provide(NodeHttpClient.layerNodeHttp))
}

/** Commands, and what only the server knows that has the owner. */
const isForItsServer = (request: HttpServerRequest.HttpServerRequest): boolean =>
  (request.method !== "GET" && request.method !== "HEAD") ||
  /^[^?]*\/tasks\/[^/?]+\/output(\?|$)/.test(targetOf(request))

/** What is followed has no end of its own for which a server that stops would have to wait. */
const goesOn = (request: HttpServerRequest.HttpServerRequest): boolean =>
  request.method === "GET" && /[?&]follow=true(&|$)/.test(targetOf(request))

/** Path and query. Whoever asks may name a host before them, and does not get to choose one that way. */
const targetOf = ({ originalUrl }: HttpServerRequest.HttpServerRequest): string =>
  originalUrl.replace(/^https?:\/\/[^/?]*/i, "")

/** Waits until an owner is no longer at a server. While nobody knows, it is. */
export const moved = (leases: LeasesService, ownerId: OwnerId, node: string, lookMillis: number) =>
  leases.locate(ownerId).pipe(
    Effect.map((location) => location._tag === "Here" || location.node !== node),
    Effect.orElseSucceed(() => false),
    Effect.delay(lookMillis),
    Effect.repeat({ until: (hasMoved) => hasMoved }),
    Effect.asVoid
  )

/** What is about a connection and not about what goes over it (RFC 9110, 7.6.1), and what is said anew. */
const ofConnections = [
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
]

const pass = (
  client: HttpClient.HttpClient,
  request: HttpServerRequest.HttpServerRequest,
  url: string,
  gone: Effect.Effect<unknown>
) => {
  const length = request.headers["content-length"]
  // Another method has no route, and so no owner.
  const passedOn = HttpClientRequest.make(request.method as HttpMethod.HttpMethod)(
    url.replace(/\/+$/, "") + targetOf(request),
    {
      headers: Headers.set(Headers.removeMany(request.headers, ofConnections), forwardedHeader, "1")
    }
  )
  const hasBody = Number(length ?? 0) > 0 || "transfer-encoding" in request.headers
  return client.execute(
    hasBody
      ? HttpClientRequest.bodyStream(passedOn, request.stream, {
        contentType: request.headers["content-type"],
        contentLength: length === undefined ? undefined : Number(length)
      })
      : passedOn
  ).pipe(
    Effect.map(({ headers, status, stream }) => {
      // What was passed on until then must not look whole.
      const whole = Stream.interruptWhen(
        stream,
        Effect.andThen(gone, Effect.fail("the server that has this owner is gone"))
      )
      return HttpServerResponse.stream(goesOn(request) ? untilStop(whole) : whole, {
        status,
        headers: Headers.removeMany(headers, ofConnections),
        contentType: headers["content-type"]
      })
    }),
    Effect.catch((error) =>
      Effect.as(
        Effect.logWarning(`${request.method} ${targetOf(request)} could not be passed on to ${url}`, error),
        unavailable("the server that has this owner cannot be reached")
      )
    )
  )
}

const retryAfterSeconds = "1"

const unavailable = (why: string) =>
  errorResponse(
    503,
    { code: "ServerUnavailable", message: `It cannot be answered now; a command may or may not have happened: ${why}` },
    { "retry-after": retryAfterSeconds }
  )
