/**
 * One connected daemon, whichever way it is connected: what its frames mean for the directives.
 *
 * `DaemonEndpoint.ts` speaks this over a WebSocket, `FunctionDaemon.ts` within the process. Frames are handled in the
 * order in which they came, and go on being handled when the connection has ended: what a daemon has said is not lost.
 * How reports get to their directives is in `internal/reports.ts`, what heartbeats say in `internal/inventory.ts`.
 */
import { Effect, Exit, Fiber, Queue, Scope } from "effect"
import { DaemonRegistries } from "../actors/DaemonRegistryActor.ts"
import { Daemons, type Session } from "../actors/Daemons.ts"
import type { Directives } from "../actors/DirectiveActor.ts"
import type { ActorUnavailable } from "../actors/internal/mailbox.ts"
import { Leases } from "../actors/Leases.ts"
import { daemonIdOf, type OwnerId } from "../events/Ids.ts"
import * as Inventory from "./internal/inventory.ts"
import * as OwnTasks from "./internal/ownTasks.ts"
import * as Reports from "./internal/reports.ts"
import {
  type DaemonFrame,
  HeartbeatMillis,
  missedHeartbeatsMax,
  type ReportedStatus,
  type ServerFrame
} from "./Protocol.ts"
import { TaskOutput } from "./TaskOutput.ts"

export { TaskDirectory } from "./internal/ownTasks.ts"

export interface Connection {
  readonly ownerId: OwnerId
  readonly machineId: string
  readonly hostname: string
  readonly maxConcurrentTasks: number
  /** The daemon keeps final reports until it hears that they were dealt with, and wants its heartbeats answered. */
  readonly acknowledgements?: boolean
  readonly send: (frame: ServerFrame) => Effect.Effect<boolean>
  readonly close: Effect.Effect<void>
}

export interface DaemonSession {
  /** Records that the daemon is here, and gives it tasks from then on. */
  readonly begin: Effect.Effect<void, ActorUnavailable>
  readonly receive: (frame: DaemonFrame) => Effect.Effect<void>
  /** The connection has ended. The daemon is suspect from now on, unless it has connected anew already. */
  readonly end: (reason: string) => Effect.Effect<void>
}

/** How many frames of one daemon may wait to be handled; it then waits with the next. */
const framesCapacity = 256

/** How long a daemon that was here before may take to say what it still has, before it is taken to have nothing else. */
const firstHeartbeatMillisMax = 2_000

/** How long an ending connection waits for what its daemon has said to be handled, in milliseconds. */
const drainMillisMax = 2_000

/**
 * How long a server that does not reach its lease keeps daemons, in milliseconds, with the silence in which they notice that
 * it has given them up: an outage of the database passes, but where only this server is cut off, another one has the owner,
 * and the daemon has to get there before its tasks are given to others.
 */
const keptMillisMax = 90_000

const ended = "the connection has ended"

/** A session that is yet to begin. The scope is that of the server: it outlives the connection. */
export const make = Effect.fnUntraced(function*(
  connection: Connection
): Effect.fn.Return<DaemonSession, never, Daemons | DaemonRegistries | Directives | TaskOutput | Scope.Scope> {
  const daemons = yield* Daemons
  const registries = yield* DaemonRegistries
  const output = yield* TaskOutput
  const serverScope = yield* Effect.scope
  // Of its own, so that a server does not keep something of every connection there ever was.
  const scope = yield* Scope.fork(serverScope)
  const { hostname, machineId, maxConcurrentTasks, ownerId } = connection
  const { isValid, unansweredMillis, valid } = yield* Leases
  const heartbeatMillis = yield* HeartbeatMillis
  const silenceMillisMax = missedHeartbeatsMax * heartbeatMillis
  // Who may have lost the daemon to another process tells it nothing.
  const send: Connection["send"] = (frame) => Effect.andThen(valid, connection.send(frame))
  const daemonId = daemonIdOf(ownerId, machineId)
  const session: Session = { daemonId, ownerId, hostname, maxConcurrentTasks, send, close: connection.close }

  const acknowledges = connection.acknowledgements === true
  const tasks = yield* OwnTasks.make(ownerId)
  const inventory = yield* Inventory.make({ ownerId, daemonId, tasks, send })
  const { directiveOf } = tasks
  const reports = yield* Scope.provide(Reports.make({ ownerId, daemonId, acknowledges, send, directiveOf }), scope)
  let isOver = false

  const handle = Effect.fnUntraced(function*(frame: DaemonFrame) {
    switch (frame.type) {
      case "heartbeat":
        // What it has when its connection is over is for its next one to say.
        if (isOver) return
        yield* inventory.compare(frame.activeTasks)
        return daemons.ready(session)
      case "taskStatusChange": {
        const status = statusOf(frame.newStatus)
        if (status !== undefined) yield* reports.take({ taskId: frame.taskId, status, ...Reports.handOverOf(frame) })
        return
      }
      case "taskComplete": {
        const reason = frame.error ?? (frame.success ? undefined : "the daemon gave no reason")
        return yield* reports.take({
          taskId: frame.taskId,
          status: frame.success ? "completed" : "failed",
          ...Reports.handOverOf(frame),
          ...(reason === undefined ? {} : { reason })
        })
      }
      case "taskOutput":
      case "taskProgress": {
        // What it says of a task that was taken from it is nobody's output, but no mistake of the daemon's either.
        if (daemons.isForeign(ownerId, daemonId, frame.taskId)) return
        if (daemons.assignment(ownerId, daemonId, frame.taskId) === undefined) {
          return yield* reports.refuse(frame.taskId)
        }
        return yield* output.append(frame.taskId, frame.type === "taskOutput" ? frame.output : `${frame.summary}\n`)
      }
    }
  })

  const frames = yield* Queue.bounded<DaemonFrame, typeof ended>(framesCapacity)
  const worker = yield* Queue.take(frames).pipe(
    Effect.flatMap((frame) =>
      Effect.catchDefect(handle(frame), (defect) => Effect.logError(`A ${frame.type} could not be handled`, defect))
    ),
    Effect.forever,
    Effect.ignore,
    Effect.annotateLogs({ daemonId }),
    Effect.forkIn(scope)
  )
  const handled = Effect.andThen(Fiber.await(worker), reports.handled)

  return {
    begin: Effect.gen(function*() {
      // It has its place before it is recorded: an earlier connection that ends meanwhile must not take it along.
      yield* daemons.connect(session)
      const connect = { _tag: "Connect", daemonId, machineId, hostname, maxConcurrentTasks } as const
      const { wasKnown } = yield* registries.ask(ownerId, connect)
      inventory.expect()
      yield* send({ type: "authenticated", daemonId, ...(acknowledges ? { acknowledgements: true } : {}) })
      if (!wasKnown) return daemons.ready(session)
      const ready = Effect.sync(() => daemons.ready(session))
      yield* Effect.forkIn(Effect.delay(ready, firstHeartbeatMillisMax), scope)
    }),
    receive: Effect.fnUntraced(function*(frame) {
      // At once: the daemon asks whether this process is here, not whether the log is.
      const isKept = isValid() || unansweredMillis() + silenceMillisMax <= keptMillisMax
      if (acknowledges && frame.type === "heartbeat" && isKept) yield* connection.send({ type: "heartbeat" })
      yield* Queue.offer(frames, frame)
    }),
    end: Effect.fnUntraced(function*(reason) {
      isOver = true
      yield* Queue.fail(frames, ended)
      if (daemons.disconnect(session)) {
        yield* registries.ask(ownerId, { _tag: "Disconnect", daemonId, reason }).pipe(
          Effect.catch((error) => Effect.logWarning("A daemon's leave was not recorded", error))
        )
      }
      yield* Effect.timeoutOption(handled, drainMillisMax)
      yield* Effect.forkIn(Effect.andThen(handled, Scope.close(scope, Exit.void)), serverScope)
    })
  }
})

const statusOf = (status: ReportedStatus): Reports.Report["status"] | undefined => {
  switch (status) {
    case "pending":
      return undefined
    case "merged":
    case "done":
      return "completed"
    default:
      return status
  }
}
