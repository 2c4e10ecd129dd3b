/**
 * A machine with agents that outlives the lives of the server: a daemon as all others to the runtime, whose agents are
 * functions. It has no sockets and no processes, so it runs in virtual time; what it says and when is that of the local
 * daemon, whose outbox it has.
 */
import { Effect, Exit, Queue, type Scope } from "effect"
import { make } from "../../src/daemon/DaemonSession.ts"
import * as Outbox from "../../src/daemon/internal/outbox.ts"
import { HeartbeatMillis, type ServerFrame, type SpawnTask } from "../../src/daemon/Protocol.ts"
import type { OwnerId, TaskId } from "../../src/events/Ids.ts"

export interface Options {
  readonly ownerId: OwnerId
  readonly machineId: string
  readonly maxConcurrentTasks: number
  /** Does a task, and fails if it fails. It goes on whatever becomes of the server. */
  readonly agent: (task: SpawnTask) => Effect.Effect<void, string>
}

interface Running {
  handOver: number
}

export type Machine = Effect.Success<ReturnType<typeof makeMachine>>

export const makeMachine = Effect.fnUntraced(function*({ agent, machineId, maxConcurrentTasks, ownerId }: Options) {
  const scope = yield* Effect.scope
  const heartbeatMillis = yield* HeartbeatMillis
  const outbox = Outbox.make(heartbeatMillis)
  const running = new Map<TaskId, Running>()
  /** The name of each task whose agent was started, in order. */
  const starts: Array<string> = []
  /** Tasks that came once more, as another hand-over, while their agent ran. */
  const doubles: Array<string> = []

  const report = (taskId: TaskId, handOver: number, newStatus: "starting" | "running") =>
    outbox.report({ type: "taskStatusChange", taskId, oldStatus: "pending", newStatus, handOver })

  const accept = Effect.fnUntraced(function*(task: SpawnTask) {
    const { handOver, taskId } = task
    const known = running.get(taskId)
    if (known !== undefined) {
      if (known.handOver !== handOver) doubles.push(task.taskName)
      known.handOver = Math.max(known.handOver, handOver)
      return report(taskId, known.handOver, "running")
    }
    const ended = outbox.finalOf(taskId, handOver)
    if (ended !== undefined) return outbox.report(ended)
    starts.push(task.taskName)
    const started: Running = { handOver }
    running.set(taskId, started)
    report(taskId, handOver, "running")
    yield* agent(task).pipe(
      Effect.exit,
      Effect.map((exit) => {
        running.delete(taskId)
        outbox.report({
          type: "taskComplete",
          taskId,
          success: Exit.isSuccess(exit),
          handOver: started.handOver,
          ...(Exit.isSuccess(exit) ? {} : { error: String(exit.cause) })
        })
      }),
      Effect.forkIn(scope, { startImmediately: true })
    )
  })

  /** Stays connected to one life of a server, for as long as the scope is open. Frames of a dead one do not come. */
  const connect = Effect.fnUntraced(function*(isDead: () => boolean) {
    const frames = yield* Queue.unbounded<ServerFrame>()
    const session = yield* make({
      ownerId,
      machineId,
      hostname: machineId,
      maxConcurrentTasks,
      send: (frame) => Effect.sync(() => isDead() || Queue.offerUnsafe(frames, frame)),
      close: Effect.void
    })
    yield* session.begin
    const listed = () => [...new Set([...running.keys(), ...outbox.finals().map(({ taskId }) => taskId)])]
    const heartbeat = Effect.suspend(() => session.receive({ type: "heartbeat", activeTasks: listed() }))
    const sendAll = Effect.suspend(() => Effect.forEach(outbox.take(0, false), session.receive, { discard: true }))
    outbox.recall(0)
    yield* heartbeat
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(outbox.ready, sendAll)))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(heartbeatMillis), heartbeat)))
    yield* Queue.take(frames).pipe(
      Effect.flatMap((frame) => frame.type === "spawnTask" ? accept(frame) : Effect.void),
      Effect.forever,
      Effect.forkScoped
    )
  })

  return { connect, starts, doubles }
}) satisfies (options: Options) => Effect.Effect<unknown, never, Scope.Scope>
