/** A daemon that speaks to a server's session without a socket: what it says and hears, and when, is the test's. */
import { Effect, Queue } from "effect"
import * as DaemonSession from "../../src/daemon/DaemonSession.ts"
import type { DaemonFrame, ServerFrame, SpawnTask } from "../../src/daemon/Protocol.ts"
import type { OwnerId, TaskId } from "../../src/events/Ids.ts"

/** Connects, lists tasks in its first heartbeat, and goes on listing them every 30 seconds. */
export const connectSession = Effect.fnUntraced(function*(
  ownerId: OwnerId,
  machineId: string,
  tasks: ReadonlyArray<TaskId> = [],
  options: { readonly acknowledgements?: boolean } = {}
) {
  const frames = yield* Queue.unbounded<ServerFrame>()
  const active = new Set(tasks)
  let isGone = false
  const session = yield* DaemonSession.make({
    ownerId,
    machineId,
    hostname: machineId,
    maxConcurrentTasks: 4,
    ...options,
    send: (frame) => Effect.sync(() => !isGone && Queue.offerUnsafe(frames, frame)),
    close: Effect.sync(() => {
      isGone = true
    })
  })
  yield* session.begin
  const say = (frame: DaemonFrame) => Effect.suspend(() => isGone ? Effect.void : session.receive(frame))
  const heartbeat = Effect.suspend(() => say({ type: "heartbeat", activeTasks: [...active] }))
  yield* heartbeat
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("30 seconds"), heartbeat)))

  /** The next task, which it lists from then on. */
  const nextTask = Queue.take(frames).pipe(
    Effect.repeat({ until: (frame): frame is SpawnTask => frame.type === "spawnTask" }),
    Effect.tap(({ taskId }) => Effect.sync(() => active.add(taskId)))
  )
  const report = ({ handOver, taskId }: SpawnTask, newStatus: "starting" | "running" | "completed") => {
    if (newStatus === "completed") active.delete(taskId)
    return say({ type: "taskStatusChange", taskId, oldStatus: "starting", newStatus, handOver })
  }
  return {
    frames,
    nextTask,
    report,
    /** It loses the task, and does not say so. */
    forget: ({ taskId }: SpawnTask) => Effect.sync(() => active.delete(taskId)),
    /** Nothing more comes from it; the server has yet to notice. */
    vanish: Effect.sync(() => {
      isGone = true
    }),
    /** The server notices that the connection has ended. */
    end: Effect.suspend(() => {
      isGone = true
      return session.end("the connection ended")
    })
  }
})
