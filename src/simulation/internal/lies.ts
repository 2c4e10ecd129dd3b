/** What a simulated daemon says that is not so. */
import type { DaemonFrame } from "../../daemon/Protocol.ts"
import { TaskId, uuidV5 } from "../../events/Ids.ts"
import type { Running } from "./agents.ts"
import type { Chance } from "./chance.ts"

/**
 * Something about tasks that are not its own, that nobody knows, or of a hand-over that never was. `open` are all tasks
 * that have not ended. Undefined where it could only tell the truth.
 */
export const lieOf = (
  chance: Chance,
  { handOver, spawn: { taskId, taskName } }: Running,
  running: ReadonlyMap<TaskId, Running>,
  open: ReadonlyArray<TaskId>
): DaemonFrame | undefined => {
  const others = open.filter((other) => !running.has(other))
  const unknown = TaskId.make(uuidV5(`unknown ${taskName}`))
  const complete = (taskId: TaskId, handOver: number): DaemonFrame => ({
    type: "taskComplete",
    taskId,
    success: chance.is(0.5),
    handOver
  })
  switch (chance.below(4)) {
    case 0:
      return complete(unknown, 1)
    case 1:
      return others.length > 0 ? complete(chance.pick(others), chance.between(1, 2)) : undefined
    case 2:
      return complete(taskId, handOver + chance.between(1, 7))
    default:
      return { type: "heartbeat", activeTasks: [...running.keys(), unknown, ...others.slice(0, 1)] }
  }
}
