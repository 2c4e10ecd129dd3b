/** A server's daemon endpoint on a real socket, on the memory log, and daemons that are nothing but a WebSocket. */
import { NodeHttpServer } from "@effect/platform-node"
import { Deferred, Effect, Layer, Option, Queue, Redacted, Schema, type Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { DaemonPolicy, DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { DirectivePolicy, Directives } from "../../src/actors/DirectiveActor.ts"
import type { NewStep } from "../../src/actors/DirectiveCommand.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import * as DaemonEndpoint from "../../src/daemon/DaemonEndpoint.ts"
import { type DaemonFrame, HeartbeatMillis, ServerFrame, type SpawnTask } from "../../src/daemon/Protocol.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import type { EventLog } from "../../src/events/EventLog.ts"
import { DirectiveId, OwnerId } from "../../src/events/Ids.ts"
import { ApiKeys } from "../../src/server/ApiKeys.ts"
import type { Control } from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"

/** The key of an owner is `key-of-<owner>`. */
const layerKeys = Layer.succeed(ApiKeys)(ApiKeys.of({
  create: () => Effect.die("not here"),
  list: () => Effect.succeed([]),
  revoke: () => Effect.succeed(false),
  verify: (key) =>
    Effect.succeed(
      Option.map(
        Option.fromNullOr(/^key-of-(.+)$/.exec(Redacted.value(key))),
        ([, owner]) => OwnerId.make(owner!)
      )
    )
}))

export interface Limits {
  readonly heartbeatMillis?: number
  readonly graceMillis?: number
  readonly authenticateMillisMax?: number
  readonly framesPerSecondMax?: number
}

/** One life of a server, on a log that is there already. */
export const layerServer = (port = 0, limits: Limits = {}) => layerServerWith(Supervisor.layer, port, limits)

/** The same, with a supervisor that a test brings along. */
export const layerServerWith = <A, R>(
  supervisor: Layer.Layer<Supervisor | A, never, R>,
  port = 0,
  limits: Limits = {}
) =>
  HttpRouter.serve(DaemonEndpoint.layer, { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port, host: "127.0.0.1", gracefulShutdownTimeout: 100 })),
    Layer.provide(layerKeys),
    Layer.provideMerge(DaemonRegistries.layer.pipe(
      Layer.provideMerge(Directives.layer),
      Layer.provideMerge(Layer.mergeAll(supervisor, Daemons.layer, TaskOutput.layer))
    )),
    Layer.provide([
      Layer.succeed(HeartbeatMillis)(limits.heartbeatMillis ?? 30_000),
      Layer.succeed(DaemonEndpoint.EndpointLimits)({
        authenticateMillisMax: limits.authenticateMillisMax ?? 10_000,
        framesPerSecondMax: limits.framesPerSecondMax ?? 1_000
      }),
      Layer.succeed(DaemonPolicy)({ graceMillis: limits.graceMillis ?? 120_000 }),
      // With one daemon a test should not have to wait until it is offered a task again.
      Layer.succeed(DirectivePolicy)({ ...Directive.defaultPolicy, exclusionMillis: 50 })
    ]),
    Layer.fresh
  )

export const portOf = HttpServer.addressFormattedWith((url) => Effect.succeed(Number(new URL(url).port)))

type Sent = DaemonFrame | Record<string, unknown> | string

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(ServerFrame))

const patience = "5 seconds"
const soon = <A>(what: string, effect: Effect.Effect<A>) =>
  Effect.timeoutOrElse(effect, { duration: patience, orElse: () => Effect.die(new Error(`never: ${what}`)) })

/** A WebSocket to the endpoint. Frames that are text go as they are. */
export const openSocket = Effect.gen(function*() {
  const socket = new WebSocket(`ws://127.0.0.1:${yield* portOf}/ws/daemon`)
  const frames = yield* Queue.unbounded<ServerFrame>()
  const closed = yield* Deferred.make<{ readonly code: number; readonly reason: string }>()
  const isOpen = yield* Deferred.make<void>()
  socket.addEventListener("open", () => Deferred.doneUnsafe(isOpen, Effect.void))
  socket.addEventListener("message", ({ data }) => Queue.offerUnsafe(frames, decode(data)))
  socket.addEventListener("close", ({ code, reason }) => Deferred.doneUnsafe(closed, Effect.succeed({ code, reason })))
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.close()))
  yield* soon("the connection opens", Deferred.await(isOpen))
  return {
    send: (...sent: ReadonlyArray<Sent>) =>
      Effect.sync(() => {
        for (const frame of sent) socket.send(typeof frame === "string" ? frame : JSON.stringify(frame))
      }),
    next: soon("a frame", Queue.take(frames)),
    /** How many frames have come that nobody has taken. */
    waiting: Queue.size(frames),
    closed: soon("the connection closes", Deferred.await(closed)),
    close: Effect.andThen(Effect.sync(() => socket.close()), soon("it closes", Deferred.await(closed))),
    closeAs: (code: number, reason: string) =>
      Effect.andThen(Effect.sync(() => socket.close(code, reason)), soon("it closes", Deferred.await(closed)))
  }
})

export interface Hello {
  readonly machineId?: string
  readonly maxConcurrentTasks?: number
  readonly owner?: string
  readonly acknowledgements?: boolean
}

export const hello = ({ machineId = "machine", maxConcurrentTasks = 4, owner = ownerId, ...rest }: Hello = {}) => ({
  type: "authenticate",
  apiKey: `key-of-${owner}`,
  machineId,
  hostname: "host",
  maxConcurrentTasks,
  ...(rest.acknowledgements === true ? { acknowledgements: true } : {})
})

/** A daemon that is connected and has said what it is doing. */
export const connect = Effect.fnUntraced(function*(
  options: Hello & { readonly activeTasks?: ReadonlyArray<string> } = {}
) {
  const socket = yield* openSocket
  yield* socket.send(hello(options))
  const welcome = yield* socket.next
  if (welcome.type !== "authenticated") throw new Error(`not welcome: ${JSON.stringify(welcome)}`)
  yield* socket.send({ type: "heartbeat", activeTasks: options.activeTasks ?? [] })
  return {
    ...socket,
    daemonId: welcome.daemonId,
    /** The next frame, which has to be a task. */
    nextTask: Effect.map(socket.next, (frame): SpawnTask => {
      if (frame.type !== "spawnTask") throw new Error(`expected a task, got ${JSON.stringify(frame)}`)
      return frame
    }),
    /** The code of the next frame, which has to be an error. */
    nextError: Effect.map(socket.next, (frame) => {
      if (frame.type !== "error") throw new Error(`expected an error, got ${JSON.stringify(frame)}`)
      return frame.code
    })
  }
})

/** How often daemons of tests about what heartbeats do not list have to say something. */
export const shortHeartbeat = { heartbeatMillis: 2_000 }

/** Two heartbeats that list nothing, far enough apart to mean it. */
export const lackTwice = ({ send }: { readonly send: (...sent: ReadonlyArray<Sent>) => Effect.Effect<void> }) =>
  Effect.andThen(
    send({ type: "heartbeat", activeTasks: [] }),
    Effect.delay(send({ type: "heartbeat", activeTasks: [] }), shortHeartbeat.heartbeatMillis / 2 + 100)
  )

export const complete = ({ handOver, taskId }: SpawnTask, success = true) => ({
  type: "taskComplete",
  taskId,
  success,
  handOver
})
export const status = ({ handOver, taskId }: SpawnTask, newStatus: string) => ({
  type: "taskStatusChange",
  taskId,
  oldStatus: "starting",
  newStatus,
  handOver
})

const createAs = (id: DirectiveId, title: string) =>
  Effect.fnUntraced(function*(...steps: ReadonlyArray<NewStep | string>) {
    const directives = yield* Directives
    yield* directives.ask(id, { _tag: "CreateDirective", ownerId, title, goal: "Say hello" })
    const all = steps.map((step) => typeof step === "string" ? { name: step } : step)
    yield* directives.ask(id, { _tag: "AddSteps", steps: all })
    yield* directives.ask(id, { _tag: "StartDirective" })
  })

/** A directive without a repository: it is idle when its steps are done. */
export const create = createAs(directiveId, "Greet")

export const otherId = DirectiveId.make("99999999-0000-4000-8000-000000000000")
export const createOther = createAs(otherId, "Other")

/** What a server does first when it comes up. */
export const resume = Effect.gen(function*() {
  yield* (yield* DaemonRegistries).resume(ownerId)
  yield* (yield* Directives).resume(directiveId)
})

type Server = Layer.Success<ReturnType<typeof layerServer>>
export type InServer<A> = Effect.Effect<A, unknown, Server | EventLog | Control | Scope.Scope>
