/**
 * A daemon without agents for tests of the actors: it takes what it is given and reports what the test says.
 * It is connected the way every daemon is, through `Daemons` and the owner's registry.
 */
import { Effect, Queue } from "effect"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons, type Session } from "../../src/actors/Daemons.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { ServerFrame, SpawnTask } from "../../src/daemon/Protocol.ts"
import { daemonIdOf, type OwnerId } from "../../src/events/Ids.ts"

export const connectDaemon = Effect.fnUntraced(function*(ownerId: OwnerId, machineId: string, maxConcurrentTasks = 4) {
  const daemons = yield* Daemons
  const registries = yield* DaemonRegistries
  const directives = yield* Directives
  const daemonId = daemonIdOf(ownerId, machineId)
  const frames = yield* Queue.unbounded<ServerFrame>()
  let isReachable = true
  const session: Session = {
    daemonId,
    ownerId,
    hostname: machineId,
    maxConcurrentTasks,
    send: (frame) => isReachable ? Effect.as(Queue.offer(frames, frame), true) : Effect.succeed(false),
    close: Effect.void
  }
  yield* daemons.connect(session)
  yield* registries.ask(ownerId, { _tag: "Connect", daemonId, machineId, hostname: machineId, maxConcurrentTasks })
  daemons.ready(session)

  const report = (
    task: SpawnTask,
    status: "starting" | "running" | "completed" | "failed" | "interrupted",
    reason?: string
  ) =>
    directives.ask(task.directiveId!, {
      _tag: "ReportTask",
      taskId: task.taskId,
      daemonId,
      handOver: task.handOver,
      status,
      ...(reason === undefined ? {} : { reason })
    }, { ownerId })

  return {
    daemonId,
    frames,
    report,
    /** The next task that it is handed. Any other frame is a failure of the test. */
    nextTask: Effect.map(Queue.take(frames), (frame): SpawnTask => {
      if (frame.type !== "spawnTask") throw new Error(`expected a task, got ${JSON.stringify(frame)}`)
      return frame
    }),
    /** Frames cannot be sent to it from now on. */
    breakConnection: Effect.sync(() => {
      isReachable = false
    }),
    disconnect: Effect.suspend(() => {
      daemons.disconnect(session)
      return registries.ask(ownerId, { _tag: "Disconnect", daemonId, reason: "it left" })
    })
  }
})
