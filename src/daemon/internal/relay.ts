/** A daemon's connection that is passed on to the server that has its owner. */
import { Effect, type Scope } from "effect"
import { Socket } from "effect/socket"
import { forwardedHeader } from "../../server/Forwarding.ts"

export interface Relay {
  readonly send: (text: string) => Effect.Effect<void, Socket.SocketError>
  /** Waits until the other side ends the connection, and says how. */
  readonly ended: Effect.Effect<Socket.CloseEvent>
}

/** How a connection ends that is not ended by anybody (RFC 6455, 7.4.1): one side of it is going away. */
export const goingAway = 1001

/** Codes that say what was noticed and that nobody sends. */
const unsayable: ReadonlySet<number> = new Set([1004, 1005, 1006, 1015])

/** Connects to a server's endpoint, for as long as the scope is open. What comes from there goes to `onText`. */
export const open = Effect.fnUntraced(function*(
  serverUrl: string,
  onText: (text: string) => Effect.Effect<void, Socket.SocketError>
): Effect.fn.Return<Relay, Socket.SocketError, Scope.Scope | Socket.WebSocketConstructor> {
  const url = `${serverUrl.replace(/^http/i, "ws").replace(/\/+$/, "")}/ws/daemon`
  const socket = yield* Socket.makeWebSocket(url, { headers: { [forwardedHeader]: "1" } })
  const pull = yield* Socket.readerString(socket)
  const { write } = yield* socket.writer
  const ended = Effect.gen(function*() {
    while (true) for (const text of yield* pull) yield* onText(text)
  }).pipe(
    Effect.catch(({ reason }) =>
      Effect.succeed(
        reason._tag === "SocketCloseError" && !unsayable.has(reason.code)
          ? new Socket.CloseEvent(reason.code, reason.closeReason)
          : new Socket.CloseEvent(goingAway, "the server that has this owner is gone")
      )
    )
  )
  return { send: write, ended }
})
