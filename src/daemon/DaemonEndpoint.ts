/**
 * The server's end of `/ws/daemon` (spec section 9): authentication, limits and errors of the connection.
 *
 * Whatever is wrong with a frame gets an `error` frame and changes nothing. What right frames mean is in
 * `DaemonSession.ts`.
 */
import { NodeWS } from "@effect/platform-node"
import { Clock, Context, Deferred, Effect, Exit, Layer, Option, Redacted, Result, Schema, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Socket } from "effect/socket"
import type { DaemonRegistries } from "../actors/DaemonRegistryActor.ts"
import type { Daemons } from "../actors/Daemons.ts"
import type { Directives } from "../actors/DirectiveActor.ts"
import { Leases, LeaseTimes, type Location } from "../actors/Leases.ts"
import type { OwnerId } from "../events/Ids.ts"
import { ApiKeys } from "../server/ApiKeys.ts"
import { forwardedHeader, moved } from "../server/Forwarding.ts"
import { type DaemonSession, make } from "./DaemonSession.ts"
import { closing, goingAway, open, type Relay } from "./internal/relay.ts"
import {
  Authenticate,
  DaemonFrame,
  frameBytesMax,
  HeartbeatMillis,
  missedHeartbeatsMax,
  ServerFrame
} from "./Protocol.ts"
import type { TaskOutput } from "./TaskOutput.ts"

/** The bounds of a connection. */
export const EndpointLimits = Context.Reference("makima-runtime/daemon/EndpointLimits", {
  defaultValue: () => ({
    authenticateMillisMax: 10_000,
    /** More frames than this within one second close the connection. */
    framesPerSecondMax: 1_000
  })
})

const encode = Schema.encodeSync(Schema.fromJsonString(ServerFrame))
const decodeAuthenticate = Schema.decodeUnknownResult(Schema.fromJsonString(Authenticate))
const decodeFrame = Schema.decodeUnknownResult(Schema.fromJsonString(DaemonFrame))
const decodeTyped = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ type: Schema.String })))

const layerRoute = Layer.effectDiscard(Effect.gen(function*() {
  const router = yield* HttpRouter.HttpRouter
  const keys = yield* ApiKeys
  const limits = yield* EndpointLimits
  const leases = yield* Leases
  const { renewMillis } = yield* LeaseTimes
  const makeSocket = yield* Socket.WebSocketConstructor
  const silenceMillisMax = missedHeartbeatsMax * (yield* HeartbeatMillis)
  // Sessions go on handling what was said when their connection has ended, so they live as long as the server.
  const services = yield* Effect.context<Daemons | DaemonRegistries | Directives | TaskOutput>()
  const serverScope = yield* Effect.scope

  const serve = Effect.fnUntraced(function*(socket: Socket.Socket, isPassedOn: boolean) {
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    const send = (frame: ServerFrame) =>
      writer.write(encode(frame)).pipe(Effect.as(true), Effect.orElseSucceed(() => false))
    const complain = (code: string, message: string) => Effect.asVoid(send({ type: "error", code, message }))
    const closed = yield* Deferred.make<string>()
    const hangUp = Effect.fnUntraced(function*(code: string, message: string) {
      yield* complain(code, message)
      const event = new Socket.CloseEvent(policyViolation, code)
      yield* Effect.ignore(writer.write(event))
      if (relay !== undefined) yield* relay.end(event)
      yield* Deferred.succeed(closed, message)
    })

    const notNow = hangUp("unavailable", "The database cannot be used now")

    let session: DaemonSession | undefined
    let relay: Relay | undefined
    let second = 0
    let framesInSecond = 0
    const isAuthenticated = () => session !== undefined || relay !== undefined

    const authenticate = Effect.fnUntraced(function*(text: string) {
      const frame = decodeAuthenticate(text)
      if (Result.isFailure(frame)) {
        return yield* hangUp("not_authenticated", `The first frame must be authenticate: ${frame.failure.message}`)
      }
      const { acknowledgements = false, apiKey, hostname, machineId, maxConcurrentTasks } = frame.success
      const ownerId = yield* keys.verify(Redacted.make(apiKey))
      if (Option.isNone(ownerId)) return yield* hangUp("unauthorized", "The API key was not accepted")
      const location = yield* leases.locate(ownerId.value)
      if (location._tag === "Elsewhere") return yield* passOn(ownerId.value, location, text)
      const close = hangUp("replaced", "Another connection of this machine has taken the place of this one")
      const daemon = { ownerId: ownerId.value, machineId, hostname, maxConcurrentTasks, acknowledgements }
      session = yield* make({ ...daemon, send, close }).pipe(
        Effect.provideContext(services),
        Effect.provideService(Scope.Scope, serverScope)
      )
      yield* session.begin
    })

    /** Passes everything on to the server that has the owner, once: from then on, the connection is between those two. */
    const passOn = Effect.fnUntraced(function*(ownerId: OwnerId, { node, url }: Elsewhere, first: string) {
      if (url === undefined || isPassedOn) return yield* hangUp("unavailable", `${node} has this owner`)
      const end = (event: Socket.CloseEvent) =>
        Effect.andThen(
          Effect.ignore(writer.write(event)),
          Deferred.succeed(closed, event.reason ?? `code ${event.code}`)
        )
      const gone = Effect.as(
        moved(leases, ownerId, node, renewMillis),
        new Socket.CloseEvent(goingAway, "it has ended")
      )
      relay = yield* Effect.raceFirst(
        open(url, writer.write),
        Effect.flatMap(gone, end).pipe(Effect.as(undefined))
      ).pipe(
        Effect.provideService(Socket.WebSocketConstructor, makeSocket),
        Effect.catchTag("SocketError", () => hangUp("unavailable", `${node} has this owner and cannot be reached`)),
        Effect.map((opened) => opened ?? undefined)
      )
      if (relay === undefined) return
      yield* Effect.forkScoped(Effect.flatMap(Effect.raceFirst(relay.ended, gone), end))
      yield* relay.send(first)
    })

    const take = Effect.fnUntraced(function*(bytes: Uint8Array) {
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      framesInSecond = now === second ? framesInSecond + 1 : 1
      second = now
      if (framesInSecond > limits.framesPerSecondMax) {
        return yield* hangUp("flood", `More than ${limits.framesPerSecondMax} frames within a second`)
      }
      if (bytes.length > frameBytesMax) {
        return yield* complain("frame_too_large", `A frame has ${bytes.length} bytes; ${frameBytesMax} is the most`)
      }
      const text = new TextDecoder().decode(bytes)
      if (relay !== undefined) return yield* relay.send(text)
      if (session === undefined) return yield* authenticate(text)
      const frame = decodeFrame(text)
      if (Result.isSuccess(frame)) return yield* session.receive(frame.success)
      const code = Option.isSome(decodeTyped(text)) ? "invalid_frame" : "not_a_frame"
      return yield* complain(code, frame.failure.message)
    })

    const listen = Effect.gen(function*() {
      const authenticateBy = (yield* Clock.currentTimeMillis) + limits.authenticateMillisMax
      while (true) {
        // Frames that are something else do not put the first one off.
        const left = authenticateBy - (yield* Clock.currentTimeMillis)
        const wait = isAuthenticated() ? silenceMillisMax : Math.max(0, left)
        for (const bytes of yield* Effect.timeout(pull, wait)) {
          // What comes behind a frame that closed the connection is not taken.
          if (!(yield* Deferred.isDone(closed))) yield* take(bytes)
        }
      }
    }).pipe(
      Effect.catchTags({
        SocketError: (error) =>
          Effect.as(relay?.end(closing(error, "the daemon is gone")) ?? Effect.void, error.message),
        TimeoutError: () =>
          Effect.tap(
            Effect.sync(() => isAuthenticated() ? "it was silent for too long" : "it did not authenticate in time"),
            (reason) => hangUp("timeout", reason)
          ),
        // The daemon comes back, and the keys and its registry may then be there again.
        ActorUnavailable: (error) => Effect.as(hangUp("unavailable", error.message), error.message),
        // What is wrong with the database is for the log: whoever asks may be a stranger.
        ApiKeysError: ({ message }) => Effect.as(Effect.andThen(Effect.logWarning(message), notNow), message),
        LeaseUnknown: ({ message }) => Effect.as(Effect.andThen(Effect.logWarning(message), notNow), message)
      })
    )
    yield* Effect.raceFirst(listen, Deferred.await(closed)).pipe(
      Effect.tap((reason) => Effect.logDebug(`A daemon's connection ended: ${reason}`)),
      Effect.onExit((exit) => session?.end(Exit.isSuccess(exit) ? exit.value : "the server stops") ?? Effect.void),
      Effect.onInterrupt(() =>
        relay?.end(new Socket.CloseEvent(goingAway, "the server on the way stops")) ?? Effect.void
      )
    )
  })

  yield* router.add(
    "GET",
    "/ws/daemon",
    Effect.fnUntraced(
      function*(request) {
        const socket = yield* request.upgrade
        yield* Effect.scoped(serve(socket, forwardedHeader in request.headers)).pipe(
          Effect.catch((error) => Effect.logDebug("A daemon's connection failed", error))
        )
        return HttpServerResponse.empty()
      },
      Effect.catchTag(
        "HttpServerError",
        () =>
          HttpServerResponse.json(
            { error: { code: "upgrade_required", message: "/ws/daemon takes WebSockets only" } },
            {
              status: 426
            }
          )
      )
    )
  )
}))

// The one of Node says nothing but 1000 and the codes of applications when it closes.
export const layer = layerRoute.pipe(Layer.provide(NodeWS.layerWebSocketConstructor))

type Elsewhere = Extract<Location, { readonly _tag: "Elsewhere" }>

/** The WebSocket close code (RFC 6455, 7.4.1) for a peer that does not keep to the rules. */
const policyViolation = 1008
