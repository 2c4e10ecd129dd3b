/**
 * The places of a directive's tasks: which of them want a slot of a daemon, which hold one, which leave theirs, and what
 * its events mean for the daemons that hold them.
 */
import { Effect, HashMap } from "effect"
import { spawnTask } from "../../daemon/spawnTask.ts"
import type { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import type { DirectiveId, OwnerId, TaskId } from "../../events/Ids.ts"
import type { Daemons, Delivery, Held, Place } from "../Daemons.ts"
import * as Directive from "../Directive.ts"
import type { DirectiveCommand } from "../DirectiveCommand.ts"
import { currentHandOver, type HandOver, isOpen, stepOf, taskOf } from "../DirectiveState.ts"
import type { Self } from "./loop.ts"

/** The command that takes a task from a daemon that is lost. */
export const failAbandoned = (
  { daemonId, handOver, taskId }: Held
): Extract<DirectiveCommand, { _tag: "FailHandOver" }> => ({
  _tag: "FailHandOver",
  taskId,
  handOver,
  reason: `daemon ${daemonId} was lost`
})

/** The tasks that want a daemon, in order. */
export function* wantedBy(state: Directive.State, now: number) {
  for (const task of Directive.waitingTasks(state)) {
    yield {
      taskId: task.id,
      handOver: task.handOvers.length + 1,
      excluded: task.exclusions.filter(({ until }) => until > now).map(({ daemonId }) => daemonId)
    }
  }
}

/** Whether its daemon has said of the current hand-over of a task that it has it, and the log knows. */
const isAcknowledged = (state: Directive.State, task: Directive.Task): boolean =>
  task.status === "running" || (task.stepId !== undefined && stepOf(state, task.stepId)?.status === "running")

/** What the log says daemons have of a directive. */
export function* heldBy(state: Directive.State) {
  for (const task of HashMap.values(state.tasks)) {
    const current = isOpen(task) ? currentHandOver(task) : undefined
    if (current === undefined) continue
    const { daemonId, handOver } = current
    const { id: taskId, interrupting } = task
    const delivery: Delivery = isAcknowledged(state, task)
      ? { _tag: "Acknowledged" }
      // The process before this one may have died with the frame in its hands.
      : { _tag: "Sent", frame: spawnTask(state.id!, task, handOver), times: 0 }
    yield { taskId, directiveId: state.id!, daemonId, handOver, interrupting, delivery }
  }
}

/** The tasks that lost daemons still have, taken from them. */
export const abandonedOf = (daemons: Daemons["Service"], ownerId: OwnerId, directiveId: DirectiveId) =>
  daemons.abandoned(ownerId, directiveId).map(failAbandoned)

/** The place that a daemon has again once this event is in the log. */
export const placesLeft = (state: Directive.State, event: DirectiveEvent): ReadonlyArray<Place> => {
  switch (event._tag) {
    case "TaskCompleted":
    case "TaskFailed":
    case "TaskInterrupted": {
      const its = taskOf(state, event.taskId)!.handOvers.find(({ handOver }) => handOver === event.handOver)
      // A daemon that has the task again is still at it.
      if (its === undefined || supersededBy(state, event)?.daemonId === its.daemonId) return []
      return [{ taskId: event.taskId, daemonId: its.daemonId }]
    }
    case "HandOverFailed":
      return [{ taskId: event.taskId, daemonId: event.daemonId }]
    default:
      return []
  }
}

/** The newer hand-over of a task that a late success of an earlier one has ended: its daemon works for nothing. */
const supersededBy = (
  state: Directive.State,
  event: DirectiveEvent
): (HandOver & { readonly taskId: TaskId }) | undefined => {
  if (event._tag !== "TaskCompleted") return undefined
  const { taskId } = event
  const newest = currentHandOver(taskOf(state, taskId)!)
  return newest === undefined || newest.handOver === event.handOver ? undefined : { ...newest, taskId }
}

export const leavePlaces = (
  daemons: Daemons["Service"],
  state: Directive.State,
  events: ReadonlyArray<DirectiveEvent>
) => {
  for (const event of events) {
    const newer = supersededBy(state, event)
    for (const { daemonId, taskId } of placesLeft(state, event)) daemons.release(state.ownerId, daemonId, taskId)
    if (newer !== undefined) daemons.drain(state.ownerId, newer.daemonId, newer.taskId)
  }
}

/** What an event means for the world outside the log. Most mean nothing, and then there is nothing to run. */
export const carryOut = (
  daemons: Daemons["Service"],
  know: (taskId: TaskId, open: boolean) => void,
  state: Directive.State,
  event: DirectiveEvent,
  self: Self<DirectiveCommand>
): Effect.Effect<void> => {
  switch (event._tag) {
    case "TaskCreated":
      know(event.taskId, true)
      return Effect.void
    case "TaskHandedOver": {
      const { daemonId, handOver, taskId } = event
      const task = HashMap.getUnsafe(state.tasks, taskId)
      const reason = `daemon ${daemonId} could not be reached`
      return Effect.flatMap(
        daemons.handOver(state.ownerId, daemonId, spawnTask(state.id!, task, handOver)),
        (isSent) => isSent ? Effect.void : self.tell({ _tag: "FailHandOver", taskId, handOver, reason })
      )
    }
    case "InterruptRequested": {
      const current = currentHandOver(HashMap.getUnsafe(state.tasks, event.taskId))
      return current === undefined
        ? Effect.void
        : Effect.asVoid(daemons.interrupt(state.ownerId, current.daemonId, event.taskId))
    }
    case "TaskFailed":
    case "TaskInterrupted":
      know(event.taskId, false)
      return Effect.void
    case "TaskCompleted": {
      know(event.taskId, false)
      const newer = supersededBy(state, event)
      if (newer === undefined) return Effect.void
      const stop = { type: "interruptTask", taskId: event.taskId, graceful: false } as const
      return Effect.asVoid(daemons.send(state.ownerId, newer.daemonId, stop))
    }
    default:
      return Effect.void
  }
}
