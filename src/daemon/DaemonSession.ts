/**
 * One connected daemon, whichever way it is connected: what its frames mean for the directives.
 *
 * `DaemonEndpoint.ts` speaks this over a WebSocket, `FunctionDaemon.ts` within the process. Frames are handled in the
 * order in which they came, and go on being handled when the connection has ended: what a daemon has said is not lost.
 */
import type { Scope } from "effect"
import { Context, Effect, Fiber, Option, Queue, Schedule } from "effect"
import { DaemonRegistries } from "../actors/DaemonRegistryActor.ts"
import { Directives } from "../actors/DirectiveActor.ts"
import type { Report } from "../actors/DirectiveCommand.ts"
import type { ActorUnavailable } from "../actors/internal/mailbox.ts"
import { daemonIdOf, type DirectiveId, type OwnerId, type TaskId } from "../events/Ids.ts"
import { type Assignment, Daemons, type Session } from "./Daemons.ts"
import type { DaemonFrame, ReportedStatus, ServerFrame } from "./Protocol.ts"
import { TaskOutput } from "./TaskOutput.ts"

/** Finds the directive of a task that is not known in this process: one that ended before it started. */
export const TaskDirectory = Context.Reference<(taskId: TaskId) => Effect.Effect<Option.Option<DirectiveId>>>(
  "makima-runtime/daemon/TaskDirectory",
  { defaultValue: () => () => Effect.succeed(Option.none()) }
)

export interface Connection {
  readonly ownerId: OwnerId
  readonly machineId: string
  readonly hostname: string
  readonly maxConcurrentTasks: number
  readonly send: (frame: ServerFrame) => Effect.Effect<boolean>
  readonly close: Effect.Effect<void>
}

export interface DaemonSession {
  readonly receive: (frame: DaemonFrame) => Effect.Effect<void>
  /** The connection has ended. The daemon is suspect from now on, unless it has connected anew already. */
  readonly end: (reason: string) => Effect.Effect<void>
}

/** How many frames of one daemon may wait to be handled; it then waits with the next. */
const framesCapacity = 256

/** The scope is that of the server: it outlives the connection. */
export const open = Effect.fnUntraced(function*(
  connection: Connection
): Effect.fn.Return<
  DaemonSession,
  ActorUnavailable,
  Daemons | DaemonRegistries | Directives | TaskOutput | Scope.Scope
> {
  const daemons = yield* Daemons
  const registries = yield* DaemonRegistries
  const directives = yield* Directives
  const output = yield* TaskOutput
  const directory = yield* TaskDirectory
  const { hostname, machineId, maxConcurrentTasks, ownerId, send } = connection
  const daemonId = daemonIdOf(ownerId, machineId)

  yield* registries.ask(ownerId, { _tag: "Connect", daemonId, machineId, hostname, maxConcurrentTasks })
  const before = keysOf(daemons.assignments(ownerId, daemonId))
  const session: Session = { daemonId, ownerId, hostname, maxConcurrentTasks, send, close: connection.close }
  // The daemon is told its id before it can be given anything to do.
  yield* send({ type: "authenticated", daemonId })
  yield* daemons.connect(session)

  let missing = before
  let isFirst = true
  let isOver = false

  /** Compares what the daemon says it has with what it was given. */
  const heartbeat = Effect.fnUntraced(function*(activeTasks: ReadonlyArray<TaskId>) {
    // What it has now is for its next connection to say.
    if (isOver) return
    const listed = new Set(activeTasks)
    const assignments = daemons.assignments(ownerId, daemonId)
    const lacking = assignments.filter(({ taskId }) => !listed.has(taskId))
    // A frame may still be on its way to the daemon, so lacking a task once means nothing; except for what it was
    // given before this connection, which the first heartbeat settles.
    for (const assignment of lacking) {
      if (!missing.has(keyOf(assignment))) continue
      yield* directives.tell(assignment.directiveId, {
        _tag: "FailHandOver",
        taskId: assignment.taskId,
        handOver: assignment.handOver,
        reason: `daemon ${daemonId} does not have the task`
      })
    }
    missing = keysOf(lacking)
    const own = new Set(assignments.map(({ taskId }) => taskId))
    daemons.foreign(ownerId, daemonId, new Set(activeTasks.filter((taskId) => !own.has(taskId))))
    if (!isFirst) return
    isFirst = false
    for (const taskId of listed) {
      const isUnwanted = directives.task(taskId)?.open === false ||
        assignments.some((assignment) => assignment.taskId === taskId && assignment.interrupting)
      if (isUnwanted) yield* send({ type: "interruptTask", taskId, graceful: true })
    }
  })

  const report = Effect.fnUntraced(function*(report: Omit<Report, "daemonId">) {
    const { taskId } = report
    const known = directives.task(taskId)?.directiveId ?? Option.getOrUndefined(yield* directory(taskId))
    if (known === undefined) return yield* refuse(taskId)
    yield* directives.ask(known, { _tag: "ReportTask", daemonId, ...report }, { ownerId }).pipe(
      // What a daemon has reported it will not report again: it is kept until the directive can take it.
      Effect.tapError((error) => Effect.logWarning("A report waits", error)),
      Effect.retry({ while: (error) => error._tag === "ActorUnavailable", schedule: Schedule.spaced("1 second") }),
      Effect.catch(() => refuse(taskId))
    )
  })

  const refuse = (taskId: TaskId) =>
    send({ type: "error", code: "not_your_task", message: `Task ${taskId} was not handed to this daemon` })

  const handle = Effect.fnUntraced(function*(frame: DaemonFrame) {
    switch (frame.type) {
      case "heartbeat":
        return yield* heartbeat(frame.activeTasks)
      case "taskStatusChange": {
        const status = statusOf(frame.newStatus)
        if (status !== undefined) yield* report({ taskId: frame.taskId, status, ...handOverOf(frame) })
        return
      }
      case "taskComplete": {
        const reason = frame.error ?? (frame.success ? undefined : "the daemon gave no reason")
        return yield* report({
          taskId: frame.taskId,
          status: frame.success ? "completed" : "failed",
          ...handOverOf(frame),
          ...(reason === undefined ? {} : { reason })
        })
      }
      case "taskOutput":
      case "taskProgress": {
        if (!daemons.assignments(ownerId, daemonId).some(({ taskId }) => taskId === frame.taskId)) {
          return yield* refuse(frame.taskId)
        }
        return yield* output.append(frame.taskId, frame.type === "taskOutput" ? frame.output : `${frame.summary}\n`)
      }
    }
  })

  const frames = yield* Queue.bounded<DaemonFrame, typeof ended>(framesCapacity)
  const worker = yield* Effect.forkScoped(
    Queue.take(frames).pipe(
      Effect.flatMap((frame) =>
        Effect.catchDefect(handle(frame), (defect) => Effect.logError(`A ${frame.type} could not be handled`, defect))
      ),
      Effect.annotateLogs({ daemonId }),
      Effect.forever,
      Effect.ignore
    )
  )
  return {
    receive: (frame) => Effect.asVoid(Queue.offer(frames, frame)),
    end: Effect.fnUntraced(function*(reason) {
      isOver = true
      yield* Queue.fail(frames, ended)
      if (daemons.disconnect(session)) {
        yield* registries.ask(ownerId, { _tag: "Disconnect", daemonId, reason }).pipe(
          Effect.catch((error) => Effect.logWarning("A daemon's leave was not recorded", error))
        )
      }
      yield* Effect.timeoutOption(Fiber.await(worker), drainMillisMax)
    })
  }
})

/** How long an ending connection waits for what its daemon has said to be handled, in milliseconds. */
const drainMillisMax = 2_000

const ended = "the connection has ended"

const keyOf = ({ handOver, taskId }: Assignment): string => `${taskId} ${handOver}`
const keysOf = (assignments: ReadonlyArray<Assignment>): ReadonlySet<string> => new Set(assignments.map(keyOf))

const handOverOf = ({ handOver }: { readonly handOver?: number }) => (handOver === undefined ? {} : { handOver })

const statusOf = (status: ReportedStatus): Report["status"] | undefined => {
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
