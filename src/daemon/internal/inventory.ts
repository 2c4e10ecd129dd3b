/**
 * What one daemon says it has, heartbeat by heartbeat, compared with what it was given.
 *
 * What it lacks for long enough was not handed over. What it has and was not given takes room at it all the same. What nobody
 * wants any more it is asked to stop, as often as it says that it has it.
 */
import { Clock, Effect } from "effect"
import { type Assignment, Daemons } from "../../actors/Daemons.ts"
import { Directives } from "../../actors/DirectiveActor.ts"
import type { DaemonId, OwnerId, TaskId } from "../../events/Ids.ts"
import { HeartbeatMillis, type ServerFrame } from "../Protocol.ts"
import type { OwnTasks } from "./ownTasks.ts"

export interface Source {
  readonly ownerId: OwnerId
  readonly daemonId: DaemonId
  /** Those of its owner. */
  readonly tasks: OwnTasks
  readonly send: (frame: ServerFrame) => Effect.Effect<boolean>
}

/** How often this process sends the frame of one hand-over before it says that the daemon does not have the task. */
const timesSentMax = 3

/** For one connection. */
export const make = Effect.fnUntraced(function*({ daemonId, ownerId, send, tasks }: Source) {
  const daemons = yield* Daemons
  const directives = yield* Directives
  const heartbeatMillis = yield* HeartbeatMillis
  /** What the daemon did not list although it was given it, and since when that was noticed. */
  let missing: ReadonlyMap<string, number> = new Map()
  let isFirst = true

  /**
   * A task that this connection should have begun with, and that the daemon never spoke of: its frame may have been lost
   * with the connection or the process before, so it goes out again, with the same number. False when there is no doubt.
   */
  const repeat = ({ delivery, interrupting }: Assignment): Effect.Effect<boolean> =>
    isFirst && !interrupting && delivery._tag === "Sent" && delivery.times < timesSentMax
      ? daemons.handOver(ownerId, daemonId, delivery.frame)
      : Effect.succeed(false)

  const compare = Effect.fnUntraced(function*(activeTasks: ReadonlyArray<TaskId>) {
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
      const known = isFirst ? yield* tasks.find(taskId) : tasks.known(taskId)
      if (known?.open === false || interrupting.has(taskId)) {
        yield* send({ type: "interruptTask", taskId, graceful: true })
      }
    }
    isFirst = false
  })

  return {
    /** What the daemon has been given so far it has to have at the first heartbeat. */
    expect: (): void => {
      const given = daemons.assignments(ownerId, daemonId).filter(({ delivery }) => delivery._tag !== "Chosen")
      missing = new Map(given.map((assignment) => [keyOf(assignment), -Infinity]))
    },
    compare
  }
})

const keyOf = ({ handOver, taskId }: Assignment): string => `${taskId} ${handOver}`
