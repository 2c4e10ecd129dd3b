/**
 * One connected daemon, whichever way it is connected: what its frames mean for the directives.
 *
 * `DaemonEndpoint.ts` speaks this over a WebSocket, `FunctionDaemon.ts` within the process. Frames are handled in the
 * order in which they came, and go on being handled when the connection has ended: what a daemon has said is not lost.
 * How reports get to their directives is in `internal/reports.ts`.
 */
import { Clock, Context, Effect, Exit, Fiber, Option, Queue, Scope } from "effect"
import { DaemonRegistries } from "../actors/DaemonRegistryActor.ts"
import { type Assignment, Daemons, type Session } from "../actors/Daemons.ts"
import { Directives } from "../actors/DirectiveActor.ts"
import type { ActorUnavailable } from "../actors/internal/mailbox.ts"
import { Leases } from "../actors/Leases.ts"
import { daemonIdOf, type DirectiveId, type OwnerId, type TaskId } from "../events/Ids.ts"
import * as Reports from "./internal/reports.ts"
import {
  type DaemonFrame,
  HeartbeatMillis,
  missedHeartbeatsMax,
  type ReportedStatus,
  type ServerFrame
} from "./Protocol.ts"
import { TaskOutput } from "./TaskOutput.ts"

/** Finds the directive of an owner's task that is not known in this process, as that of a directive that does not run. */
export const TaskDirectory = Context.Reference<
  (taskId: TaskId, ownerId: OwnerId) => Effect.Effect<Option.Option<DirectiveId>>
>("makima-runtime/daemon/TaskDirectory", { defaultValue: () => () => Effect.succeed(Option.none()) })

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

/** How often this process sends the frame of one hand-over before it says that the daemon does not have the task. */
const timesSentMax = 3

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
  const directives = yield* Directives
  const output = yield* TaskOutput
  const directory = yield* TaskDirectory
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

  /** What the daemon did not list although it was given it, and since when that was noticed. */
  let missing: ReadonlyMap<string, number> = new Map()
  let isFirst = true
  let isOver = false

  /** What this process knows of a task. Another owner's is as unknown as one that never was. */
  const ownTask = (taskId: TaskId) => {
    const known = directives.task(taskId)
    return known?.ownerId === ownerId ? known : undefined
  }

  /** The same, where its directive may have to come up for that. */
  const find = Effect.fnUntraced(function*(taskId: TaskId) {
    const known = ownTask(taskId)
    if (known !== undefined) return known
    const directiveId = Option.getOrUndefined(yield* directory(taskId, ownerId))
    if (directiveId === undefined) return undefined
    yield* Effect.ignore(directives.resume(directiveId))
    return ownTask(taskId)
  })

  /**
   * A task that this connection should have begun with, and that the daemon never spoke of: its frame may have been lost
   * with the connection or the process before, so it goes out again, with the same number. False when there is no doubt.
   */
  const repeat = ({ delivery, interrupting }: Assignment): Effect.Effect<boolean> =>
    isFirst && !interrupting && delivery._tag === "Sent" && delivery.times < timesSentMax
      ? daemons.handOver(ownerId, daemonId, delivery.frame)
      : Effect.succeed(false)

  const directiveOf = Effect.fnUntraced(function*(taskId: TaskId) {
    return ownTask(taskId)?.directiveId ?? Option.getOrUndefined(yield* directory(taskId, ownerId))
  })
  const reports = yield* Scope.provide(Reports.make({ ownerId, daemonId, acknowledges, send, directiveOf }), scope)

  /** Compares what the daemon says it has with what it was given. */
  const heartbeat = Effect.fnUntraced(function*(activeTasks: ReadonlyArray<TaskId>) {
    // What it has now is for its next connection to say.
    if (isOver) return
    const listed = new Set(activeTasks)
    const assignments = daemons.assignments(ownerId, daemonId)
    // What it has reported and is not dealt with yet is no longer on its list, and not missing either.
    const lacking = assignments.filter(({ delivery, taskId }) =>
      delivery._tag !== "Chosen" && !listed.has(taskId) && !daemons.isReporting(ownerId, daemonId, taskId)
    )
    for (const { taskId } of assignments) if (listed.has(taskId)) daemons.acknowledge(ownerId, daemonId, taskId)
    // A frame may still be on its way to the daemon, and heartbeats that were held up come in a bunch, so a task that is
    // lacking means nothing before the better part of a heartbeat has passed; except for what the daemon was given before
    // this connection, which the first heartbeat settles.
    const now = yield* Clock.currentTimeMillis
    const before = missing
    const stillMissing = new Map<string, number>()
    for (const assignment of lacking) {
      const key = keyOf(assignment)
      const since = before.get(key)
      const isCertain = since !== undefined && now - since >= heartbeatMillis / 2
      if (!isCertain || (yield* repeat(assignment))) {
        stillMissing.set(key, since === undefined || isCertain ? now : since)
        continue
      }
      yield* directives.tell(assignment.directiveId, {
        _tag: "FailHandOver",
        taskId: assignment.taskId,
        handOver: assignment.handOver,
        reason: `daemon ${daemonId} does not have the task`
      })
    }
    missing = stillMissing
    const own = new Set(assignments.map(({ taskId }) => taskId))
    daemons.foreign(ownerId, daemonId, activeTasks.filter((taskId) => !own.has(taskId)))
    // An interruption may have gone with a connection, or with an actor that failed before it could ask for it.
    const interrupting = new Set(assignments.flatMap((given) => given.interrupting ? [given.taskId] : []))
    for (const taskId of listed) {
      const known = isFirst ? yield* find(taskId) : ownTask(taskId)
      if (known?.open === false || interrupting.has(taskId)) {
        yield* send({ type: "interruptTask", taskId, graceful: true })
      }
    }
    isFirst = false
    daemons.ready(session)
  })

  const handle = Effect.fnUntraced(function*(frame: DaemonFrame) {
    switch (frame.type) {
      case "heartbeat":
        return yield* heartbeat(frame.activeTasks)
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
      const given = daemons.assignments(ownerId, daemonId).filter(({ delivery }) => delivery._tag !== "Chosen")
      missing = new Map(given.map((assignment) => [keyOf(assignment), -Infinity]))
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

const keyOf = ({ handOver, taskId }: Assignment): string => `${taskId} ${handOver}`

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
