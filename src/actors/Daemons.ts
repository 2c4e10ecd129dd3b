/**
 * The daemons that are connected to this process, how loaded they are, and who waits for room.
 *
 * This is the one place that gives out slots, in memory and without waiting, so that a directive can choose a daemon in
 * the same decision that makes the task. It holds no facts: it is rebuilt from the directives and the connections.
 */
import { Context, Effect, Layer } from "effect"
import type { ServerFrame } from "../daemon/Protocol.ts"
import type { DaemonId, DirectiveId, OwnerId, TaskId } from "../events/Ids.ts"
import {
  assign,
  type Assignment,
  emptyFleet,
  type Entry,
  type Fleet,
  leaveLine,
  newEntry,
  offerRoom,
  type Place,
  type Session,
  type Wanted
} from "./internal/slots.ts"

export type { Assignment, Place, Session, Wanted }

export class Daemons extends Context.Service<Daemons, {
  /** Takes the place of an earlier session of the same daemon, which is closed. It gets tasks when it is ready. */
  connect(session: Session): Effect.Effect<void>
  /** What the daemon is doing is known as well as it will be: from now on it gets tasks. */
  ready(session: Session): void
  /** False when another session has taken its place already. */
  disconnect(session: Session): boolean
  /**
   * Gives daemons to the first of the wanted tasks, the least loaded first. If more is wanted than there is room for,
   * `wake` is called once there is. The slots of the `ending` tasks count as free, for this directive only: until it is
   * in the log that they end, and they are released, nobody else gets their place.
   */
  assign(
    ownerId: OwnerId,
    directiveId: DirectiveId,
    wanted: Iterable<Wanted>,
    wake: () => void,
    ending?: ReadonlyArray<Place>
  ): ReadonlyArray<Place>
  /** The daemon does not have the task any more. */
  release(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): void
  /** The task is not the daemon's any more, but it is still at it, and its slot is not free until it says otherwise. */
  drain(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): void
  /** A directive starts anew: what the log says takes the place of all that it held and waited for. */
  restore(
    ownerId: OwnerId,
    directiveId: DirectiveId,
    held: Iterable<Assignment & { readonly daemonId: DaemonId }>
  ): void
  /** A directive does not run: what it holds stays, but nobody waits until it has had its turn. */
  withdraw(ownerId: OwnerId, directiveId: DirectiveId): void
  /** What a daemon said it is doing, apart from what is assigned to it. */
  foreign(ownerId: OwnerId, daemonId: DaemonId, tasks: Iterable<TaskId>): void
  /** Whether a daemon may be doing a task that is not assigned to it. */
  isForeign(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): boolean
  /** A daemon said that a task has ended. If it was not assigned to it, its slot is free from now on. */
  finished(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): void
  /** A daemon that is away stays away too long: its tasks are taken from it. It may still be at them when it is back. */
  lose(ownerId: OwnerId, daemonId: DaemonId): void
  /** What is still assigned to lost daemons. */
  abandoned(ownerId: OwnerId): ReadonlyArray<Assignment & { readonly daemonId: DaemonId }>
  /** A report of a task is on its way to its directive, until the answer is called. */
  reporting(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): () => void
  /** Whether the daemon has said something of the task that its directive does not know yet. */
  isReporting(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): boolean
  /** What is assigned to a daemon. */
  assignments(ownerId: OwnerId, daemonId: DaemonId): ReadonlyArray<Assignment>
  /** Asks a daemon to stop a task, now or when it is back. */
  interrupt(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): Effect.Effect<void>
  /** False when the daemon is not connected or its connection cannot take the frame. */
  send(ownerId: OwnerId, daemonId: DaemonId, frame: ServerFrame): Effect.Effect<boolean>
  /** The connections of an owner's daemons, those that are not ready included. */
  sessions(ownerId: OwnerId): ReadonlyArray<Session>
}>()("makima-runtime/actors/Daemons") {
  static readonly layer = Layer.sync(Daemons, () => {
    const fleets = new Map<OwnerId, Fleet>()

    const fleetOf = (ownerId: OwnerId): Fleet => {
      const fleet = fleets.get(ownerId) ?? emptyFleet()
      fleets.set(ownerId, fleet)
      return fleet
    }
    const entryOf = (ownerId: OwnerId, daemonId: DaemonId): Entry => {
      const { daemons } = fleetOf(ownerId)
      const entry = daemons.get(daemonId) ?? newEntry()
      daemons.set(daemonId, entry)
      return entry
    }

    const send = (ownerId: OwnerId, daemonId: DaemonId, frame: ServerFrame) =>
      Effect.suspend(() => entryOf(ownerId, daemonId).session?.send(frame) ?? Effect.succeed(false))

    return Daemons.of({
      connect: (session) =>
        Effect.suspend(() => {
          const entry = entryOf(session.ownerId, session.daemonId)
          const before = entry.session
          entry.session = session
          entry.isReady = false
          entry.isLost = false
          return before === undefined ? Effect.void : before.close
        }),
      ready: (session) => {
        const entry = entryOf(session.ownerId, session.daemonId)
        if (entry.session !== session || entry.isReady) return
        entry.isReady = true
        offerRoom(fleetOf(session.ownerId))
      },
      disconnect: (session) => {
        const entry = entryOf(session.ownerId, session.daemonId)
        if (entry.session !== undefined && entry.session !== session) return false
        entry.session = undefined
        entry.isReady = false
        return true
      },
      assign: (ownerId, directiveId, wanted, wake, ending = []) =>
        assign(fleetOf(ownerId), directiveId, wanted, wake, ending),
      release: (ownerId, daemonId, taskId) => {
        if (entryOf(ownerId, daemonId).tasks.delete(taskId)) offerRoom(fleetOf(ownerId))
      },
      drain: (ownerId, daemonId, taskId) => {
        const { foreign, tasks } = entryOf(ownerId, daemonId)
        if (tasks.delete(taskId)) foreign.add(taskId)
      },
      restore: (ownerId, directiveId, held) => {
        const fleet = fleetOf(ownerId)
        leaveLine(fleet, directiveId)
        for (const { tasks } of fleet.daemons.values()) {
          for (const assignment of tasks.values()) {
            if (assignment.directiveId === directiveId) tasks.delete(assignment.taskId)
          }
        }
        for (const { daemonId, ...assignment } of held) {
          entryOf(ownerId, daemonId).tasks.set(assignment.taskId, assignment)
        }
        offerRoom(fleet)
      },
      withdraw: (ownerId, directiveId) => {
        const fleet = fleetOf(ownerId)
        leaveLine(fleet, directiveId)
        offerRoom(fleet)
      },
      foreign: (ownerId, daemonId, tasks) => {
        const { foreign } = entryOf(ownerId, daemonId)
        foreign.clear()
        for (const taskId of tasks) foreign.add(taskId)
        offerRoom(fleetOf(ownerId))
      },
      isForeign: (ownerId, daemonId, taskId) => entryOf(ownerId, daemonId).foreign.has(taskId),
      finished: (ownerId, daemonId, taskId) => {
        if (entryOf(ownerId, daemonId).foreign.delete(taskId)) offerRoom(fleetOf(ownerId))
      },
      lose: (ownerId, daemonId) => {
        const entry = entryOf(ownerId, daemonId)
        // It came back while its loss was recorded, and keeps what it has.
        if (entry.session !== undefined) return
        entry.isLost = true
        for (const taskId of entry.tasks.keys()) entry.foreign.add(taskId)
      },
      abandoned: (ownerId) =>
        [...fleetOf(ownerId).daemons].flatMap(([daemonId, { isLost, tasks }]) =>
          isLost ? [...tasks.values()].map((assignment) => ({ ...assignment, daemonId })) : []
        ),
      reporting: (ownerId, daemonId, taskId) => {
        const { reporting } = entryOf(ownerId, daemonId)
        reporting.set(taskId, (reporting.get(taskId) ?? 0) + 1)
        return () => {
          const left = reporting.get(taskId)! - 1
          if (left === 0) reporting.delete(taskId)
          else reporting.set(taskId, left)
        }
      },
      isReporting: (ownerId, daemonId, taskId) => entryOf(ownerId, daemonId).reporting.has(taskId),
      assignments: (ownerId, daemonId) => [...entryOf(ownerId, daemonId).tasks.values()],
      interrupt: (ownerId, daemonId, taskId) => {
        const { tasks } = entryOf(ownerId, daemonId)
        const assignment = tasks.get(taskId)
        if (assignment !== undefined) tasks.set(taskId, { ...assignment, interrupting: true })
        return Effect.asVoid(send(ownerId, daemonId, { type: "interruptTask", taskId, graceful: true }))
      },
      send,
      sessions: (ownerId) =>
        [...fleetOf(ownerId).daemons.values()].flatMap(({ session }) => session === undefined ? [] : [session])
    })
  })
}
