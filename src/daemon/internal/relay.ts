/** A daemon's connection that is passed on to the server that has its owner. */
import { Effect, type Scope } from "effect"
import { Socket } from "effect/socket"
import { forwardedHeader } from "../../server/Forwarding.ts"

export interface Relay {
  readonly send: (text: string) => Effect.Effect<void, Socket.SocketError>
  /** Ends the connection in this way, unless it has ended. */
  readonly end: (event: Socket.CloseEvent) => Effect.Effect<void>
  /** Waits until the other side ends the connection, and says how. */
  readonly ended: Effect.Effect<Socket.CloseEvent>
}

/** How a connection ends that is not ended by anybody (RFC 6455, 7.4.1): one side of it is going away. */
export const goingAway = 1001

/** Codes that say what was noticed and that nobody sends, among those that the protocol has a meaning for. */
const unsayable: ReadonlySet<number> = new Set([1004, 1005, 1006])
const sayableMax = 1014

/** Those of the protocol that are sent, and those of libraries and applications (RFC 6455, 7.4.2). */
const isSayable = (code: number): boolean =>
  (code >= 1000 && code <= sayableMax && !unsayable.has(code)) || (code >= 3000 && code <= 4999)

/** How one side has ended its connection, for the other; `otherwise` where there is nothing that could be passed on. */
export const closing = ({ reason }: Socket.SocketError, otherwise: string): Socket.CloseEvent =>
  reason._tag === "SocketCloseError" && isSayable(reason.code)
    ? new Socket.CloseEvent(reason.code, reason.closeReason)
    : new Socket.CloseEvent(goingAway, otherwise)

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
    Effect.catch((error) => Effect.succeed(closing(error, "the server that has this owner is gone")))
  )
  return { send: write, end: (event) => Effect.ignore(write(event)), ended }
})
