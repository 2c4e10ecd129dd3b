/** The daemon's end of the WebSocket: one session after another, for ever, until the server refuses the daemon. */
import { Clock, Duration, Effect, Random, Schema } from "effect"
import { Socket } from "effect/socket"
import { type Authenticate, type DaemonFrame, HeartbeatMillis, missedHeartbeatsMax, ServerFrame } from "../Protocol.ts"

/** The server does not take this daemon, and asking again would not change that. */
export class DaemonRefused extends Schema.TaggedError<DaemonRefused>()("DaemonRefused", {
  url: Schema.String,
  code: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The server at ${this.url} refuses this daemon (${this.code}): ${this.reason}`
  }
}

/** Errors are handled here. */
export type Frame = Exclude<ServerFrame, { readonly type: "error" }>

export type Send = (frame: DaemonFrame) => Effect.Effect<void, Socket.SocketError>

/** What is known of the server once it has let the daemon in. */
export interface Server {
  readonly apiUrl: string
  /** It says when it has dealt with a final report, and answers heartbeats. */
  readonly acknowledges: boolean
}

export interface Options {
  /** `http://host:port` of servers, tried in turn. */
  readonly apiUrls: ReadonlyArray<string>
  readonly authenticate: () => Authenticate
  readonly onFrame: (frame: Frame) => Effect.Effect<void>
  /** What to do while a session lasts. It is interrupted at the session's end. */
  readonly session: (send: Send, server: Server) => Effect.Effect<never, Socket.SocketError>
}

/** `replaced`: another process says that it is this machine. Coming back would only drive that one out. */
const refusals: ReadonlySet<string> = new Set(["unauthorized", "forbidden", "replaced"])
const authenticateTimeout = "10 seconds"
const closeTimeout = "1 second"
const retryMillis = 100
const retryMillisMax = 5_000

const decodeFrame = Schema.decodeUnknownOption(Schema.fromJsonString(ServerFrame))

const urlOf = (apiUrl: string): string => `${apiUrl.replace(/^http/i, "ws").replace(/\/+$/, "")}/ws/daemon`

/** Closed is when the other side says so too: only then has it read everything. */
const close = (socket: Socket.WebSocketLike) =>
  Effect.callback<void>((resume) => {
    if (socket.readyState === 3) return resume(Effect.void)
    socket.addEventListener("close", () => resume(Effect.void), { once: true })
    socket.close(1000)
  }).pipe(Effect.timeoutOption(closeTimeout))

const connect = Effect.fnUntraced(function*(url: string) {
  const makeSocket = yield* Socket.WebSocketConstructor
  const socket = yield* Socket.fromWebSocket(Effect.acquireRelease(Effect.sync(() => makeSocket(url)), close))
  const pull = yield* Socket.readerString(socket)
  const { write } = yield* socket.writer
  const received: Array<string> = []
  /** The next frame. Without any for so long, the server is as good as gone. */
  const read = Effect.fnUntraced(function*(silence: Duration.Input = Duration.infinity) {
    while (true) {
      const text = received.shift()
      if (text === undefined) {
        received.push(...(yield* Effect.timeout(pull, silence)))
        continue
      }
      const decoded = decodeFrame(text)
      if (decoded._tag === "None") {
        yield* Effect.logWarning("The server sent a frame that this daemon does not know")
        continue
      }
      const frame = decoded.value
      if (frame.type !== "error") return frame
      if (refusals.has(frame.code)) return yield* new DaemonRefused({ url, code: frame.code, reason: frame.message })
      yield* Effect.logWarning(`The server says ${frame.code}: ${frame.message}`)
    }
  })
  const send = (frame: DaemonFrame | Authenticate) => write(JSON.stringify(frame))
  return { read, send }
})

/** Waits until the server lets the daemon in; says whether it acknowledges. */
const welcomed = Effect.fnUntraced(function*<E>(read: Effect.Effect<Frame, E>) {
  while (true) {
    const frame = yield* read
    if (frame.type === "authenticated") return frame.acknowledgements === true
  }
})

/** Keeps a session with the server, whatever happens to the network and the server. */
export const run = Effect.fnUntraced(function*(options: Options) {
  const silence = Duration.millis(missedHeartbeatsMax * (yield* HeartbeatMillis))
  let failures = 0

  const session = Effect.fnUntraced(function*(apiUrl: string, url: string) {
    const { read, send } = yield* connect(url)
    yield* send(options.authenticate())
    const acknowledges = yield* Effect.timeout(welcomed(read()), authenticateTimeout)
    yield* Effect.logInfo(`Connected to ${url}`)
    const since = yield* Clock.currentTimeMillis
    // A server that hangs up at once is not pressed: only a session that lasts sets the delays back.
    yield* Effect.addFinalizer(() =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (now - since > retryMillisMax) failures = 0
      })
    )
    // A server that answers no heartbeats may have nothing to say for hours.
    const receive = Effect.forever(Effect.flatMap(read(acknowledges ? silence : undefined), options.onFrame))
    return yield* Effect.raceFirst(receive, options.session(send, { apiUrl, acknowledges }))
  }, Effect.scoped)

  for (let attempt = 0;; attempt++) {
    const apiUrl = options.apiUrls[attempt % options.apiUrls.length]!
    const url = urlOf(apiUrl)
    yield* session(apiUrl, url).pipe(Effect.catchTag(["SocketError", "TimeoutError"], (error) =>
      failures === 0
        ? Effect.logWarning(`No connection to ${url} (${error.message}); trying again until there is one`)
        : Effect.logDebug(`Still no connection to ${url} (${error.message})`)))
    const rounds = Math.floor(failures / options.apiUrls.length)
    const delay = Math.min(retryMillis * 2 ** rounds, retryMillisMax)
    failures++
    yield* Effect.sleep(delay * (yield* Random.nextBetween(0.5, 1)))
  }
})
