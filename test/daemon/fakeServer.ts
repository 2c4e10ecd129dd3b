/** A server that is nothing but a WebSocket, and the real local daemon on it, with a shell script for an agent. */
import { NodeServices, NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue, Redacted, Schema, type Scope } from "effect"
import { Socket } from "effect/socket"
import { join } from "node:path"
import * as LocalDaemon from "../../src/daemon/LocalDaemon.ts"
import { Authenticate, DaemonFrame, HeartbeatMillis, ServerFrame, type SpawnTask } from "../../src/daemon/Protocol.ts"
import { unset } from "../../src/daemon/spawnTask.ts"
import { DaemonId, DirectiveId } from "../../src/events/Ids.ts"
import { makeRepository, taskId, temporaryDirectory } from "./localSupport.ts"

const daemonId = DaemonId.make("dddddddd-0000-4000-8000-000000000000")
export const directiveId = DirectiveId.make("eeeeeeee-0000-4000-8000-000000000000")
export const secret = "mk_a-key-that-nobody-may-see"

export const spawnTask = (n: number, fields: Partial<SpawnTask> = {}): SpawnTask => ({
  ...unset,
  type: "spawnTask",
  taskId: taskId(n),
  taskName: `Step ${n}`,
  plan: "the prompt",
  repoUrl: null,
  baseBranch: "main",
  completionAction: "branch",
  continueFromTaskId: null,
  directiveId,
  handOver: 1,
  ...fields
})

const encode = Schema.encodeSync(Schema.fromJsonString(ServerFrame))
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Union([Authenticate, DaemonFrame])))

/** One connection of a daemon, as the server sees it. */
export interface Connection {
  readonly hello: Authenticate
  readonly send: (frame: ServerFrame) => Effect.Effect<void>
  /** The next frame; output is passed over. */
  readonly next: Effect.Effect<DaemonFrame>
  readonly output: () => string
  /** The server goes away. */
  readonly close: Effect.Effect<void>
}

/** A server that leaves everything to the test, behind the address that daemons are told. */
export const makeServer = Effect.gen(function*() {
  const server = yield* NodeSocketServer.makeWebSocket({ port: 0, host: "127.0.0.1" })
  const connections = yield* Queue.unbounded<Connection>()
  const accept = Effect.fnUntraced(function*(socket: Socket.Socket) {
    const pull = yield* Socket.readerString(socket)
    const { write } = yield* socket.writer
    const frames = yield* Queue.unbounded<DaemonFrame>()
    const closed = yield* Deferred.make<void>()
    let output = ""
    const receive = Effect.gen(function*() {
      while (true) {
        for (const text of yield* pull) {
          const frame = decode(text)
          if (frame.type === "authenticate") {
            yield* Queue.offer(connections, {
              hello: frame,
              send: (frame) => Effect.orDie(write(encode(frame))),
              next: Queue.take(frames).pipe(
                Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.die(new Error("no frame")) })
              ),
              output: () => output,
              close: Effect.asVoid(Deferred.succeed(closed, undefined))
            })
          } else if (frame.type === "taskOutput") output += frame.output
          else yield* Queue.offer(frames, frame)
        }
      }
    })
    yield* Effect.raceFirst(Effect.ignore(receive), Deferred.await(closed))
  }, Effect.scoped)
  yield* Effect.forkScoped(server.run(accept))
  const port = "port" in server.address ? server.address.port : 0
  /** The next connection, authenticated. */
  const connection = Effect.tap(Queue.take(connections), ({ send }) => send({ type: "authenticated", daemonId }))
  /** The next connection, of a server that acknowledges final reports and answers heartbeats, as the test does. */
  const acknowledging = Effect.tap(
    Queue.take(connections),
    ({ send }) => send({ type: "authenticated", daemonId, acknowledgements: true })
  )
  return { apiUrl: `http://127.0.0.1:${port}`, connections, connection, acknowledging }
})

export interface SetUp extends Partial<LocalDaemon.Options> {
  /** Between two heartbeats of the daemon. */
  readonly heartbeatMillis?: number
}

/** A server, a repository, and a daemon whose agents run a shell script. */
export const setUp = Effect.fnUntraced(function*(agent: string, { heartbeatMillis = 30_000, ...options }: SetUp = {}) {
  const directory = yield* temporaryDirectory
  const repository = yield* makeRepository(directory, "repository")
  const server = yield* makeServer
  const workDir = join(directory, "work dir's")
  const daemon = yield* Effect.forkChild(
    LocalDaemon.run({
      apiUrl: server.apiUrl,
      apiKey: Redacted.make(secret),
      agent,
      workDir,
      machineId: "machine",
      hostname: "host",
      env: { TEST_DIRECTORY: directory },
      makima: { node: process.execPath, script: join(directory, "main.mjs") },
      ...options
    }).pipe(Effect.provideService(HeartbeatMillis, heartbeatMillis))
  )
  yield* Effect.addFinalizer(() => Fiber.interrupt(daemon))
  return { ...server, daemon, directory, repository, workDir }
})

export const heartbeat = (...numbers: ReadonlyArray<number>) => ({
  type: "heartbeat" as const,
  activeTasks: numbers.map(taskId)
})
export const starting = (n: number, handOver = 1) => ({
  type: "taskStatusChange" as const,
  taskId: taskId(n),
  oldStatus: "pending" as const,
  newStatus: "starting" as const,
  handOver
})
export const running = (n: number, handOver = 1) => ({
  ...starting(n, handOver),
  oldStatus: "starting" as const,
  newStatus: "running" as const
})
export const interrupted = (n: number, handOver = 1) => ({
  ...starting(n, handOver),
  oldStatus: "running" as const,
  newStatus: "interrupted" as const
})
export const succeeded = (n: number, handOver = 1) => ({
  type: "taskComplete" as const,
  taskId: taskId(n),
  success: true,
  handOver
})
export const failed = (n: number, error: string, handOver = 1) => ({ ...succeeded(n, handOver), success: false, error })

export const hears = Effect.fnUntraced(function*(connection: Connection, ...frames: ReadonlyArray<DaemonFrame>) {
  for (const frame of frames) assert.deepStrictEqual(yield* connection.next, frame)
})

export const live = (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope | NodeServices.NodeServices>) =>
  it.live(name, () => test().pipe(Effect.provide([NodeServices.layer, NodeSocket.layerWebSocketConstructor])))

/** An agent that says where it is, then waits until a file of its task's name appears. */
export const patient = "echo $$ >\"$TEST_DIRECTORY/pid-$MAKIMA_TASK_ID\"; " +
  "until [ -e \"$TEST_DIRECTORY/go-$MAKIMA_TASK_ID\" ]; do sleep 0.02; done; echo done >result"
