/**
 * A daemon that is a function of the host, in the same process: no socket, no worktree, no agent command.
 *
 * It is a daemon as all others to the rest of the runtime: it has a place in the log, slots, and can be lost.
 */
import { Effect, FiberMap, Queue, Schedule } from "effect"
import type { OwnerId, TaskId } from "../events/Ids.ts"
import { make } from "./DaemonSession.ts"
import * as Ended from "./internal/ended.ts"
import { HeartbeatMillis, type ServerFrame, type SpawnTask } from "./Protocol.ts"

export interface Options {
  readonly ownerId: OwnerId
  /** The same machine id is the same daemon, however often it comes. */
  readonly machineId: string
  readonly maxConcurrentTasks: number
}

/** Does one task. It succeeds or fails with a reason; it is interrupted when the task is. */
export type Work = (
  task: SpawnTask,
  output: (text: string) => Effect.Effect<void>
) => Effect.Effect<void, { readonly message: string }>

/** Connects the function as a daemon for as long as the scope is open. */
export const connect = Effect.fnUntraced(function*({ machineId, maxConcurrentTasks, ownerId }: Options, work: Work) {
  const frames = yield* Queue.unbounded<ServerFrame>()
  const session = yield* make({
    ownerId,
    machineId,
    hostname: machineId,
    maxConcurrentTasks,
    send: (frame) => Queue.offer(frames, frame),
    close: Effect.asVoid(Queue.shutdown(frames))
  })
  // Last added, first run: the tasks are interrupted and reported while the session still takes reports.
  yield* Effect.addFinalizer(() => session.end("the host took it away"))
  const tasks = yield* FiberMap.make<TaskId>()
  /** The latest hand-over of each task that is under way: reports belong to it. */
  const handOvers = new Map<TaskId, number>()
  const ended = Ended.make()

  const reportRunning = (taskId: TaskId) =>
    session.receive({
      type: "taskStatusChange",
      taskId,
      oldStatus: "starting",
      newStatus: "running",
      handOver: handOvers.get(taskId)!
    })
  const reportEnd = (report: Ended.Report) => {
    ended.remember(report)
    return session.receive(report)
  }

  const carryOut = Effect.fnUntraced(function*(task: SpawnTask) {
    const { taskId } = task
    yield* reportRunning(taskId)
    const output = (text: string) => session.receive({ type: "taskOutput", taskId, output: text, isPartial: true })
    yield* work(task, output).pipe(
      Effect.onExit((exit) => {
        const handOver = handOvers.get(taskId)!
        handOvers.delete(taskId)
        return reportEnd(Ended.reportOf({ taskId, handOver, status: "running" }, exit))
      }),
      // How it went is reported, so the fiber has nothing left to say.
      Effect.ignoreCause
    )
  })

  yield* Queue.take(frames).pipe(
    Effect.flatMap((frame) => {
      switch (frame.type) {
        case "spawnTask": {
          const report = ended.find(frame.taskId, frame.handOver)
          if (report !== undefined) return session.receive(report)
          const isKnown = handOvers.has(frame.taskId)
          handOvers.set(frame.taskId, frame.handOver)
          if (isKnown) return reportRunning(frame.taskId)
          return FiberMap.run(tasks, frame.taskId, carryOut(frame), { onlyIfMissing: true, startImmediately: true })
        }
        case "interruptTask":
          return FiberMap.remove(tasks, frame.taskId)
        case "authenticated":
        case "heartbeat":
        case "reported":
          return Effect.void
        case "error":
          return Effect.logWarning(`The server refused a report: ${frame.message}`)
      }
    }),
    Effect.forever,
    Effect.forkScoped
  )

  yield* session.begin
  // The first one says that whatever this daemon had before this process is not here any more.
  yield* Effect.suspend(() => session.receive({ type: "heartbeat", activeTasks: [...handOvers.keys()] })).pipe(
    Effect.repeat(Schedule.spaced(yield* HeartbeatMillis)),
    Effect.forkScoped({ startImmediately: true })
  )
})
