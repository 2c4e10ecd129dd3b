/**
 * The daemons that are connected to this process, how loaded they are, and who waits for room.
 *
 * This is the one place that gives out slots, in memory and without waiting, so that a directive can choose a daemon in
 * the same decision that makes the task. It holds no facts: it is rebuilt from the directives and the connections.
 */
import { Context, Deferred, Effect, Layer } from "effect"
import type { ServerFrame, SpawnTask } from "../daemon/Protocol.ts"
import type { DaemonId, DirectiveId, OwnerId, TaskId } from "../events/Ids.ts"
import * as Slots from "./internal/slots.ts"
import type { Assignment, Delivery, Entry, Fleet, Held, Place, Session, Wanted } from "./internal/slots.ts"
import * as Turns from "./internal/turns.ts"

export type { Assignment, Delivery, Held, Place, Session, Wanted }

export class Daemons extends Context.Service<Daemons, {
  /** Takes the place of an earlier session of the same daemon, which is closed. It gets tasks when it is ready. */
  connect(session: Session): Effect.Effect<void>
  /** What the daemon is doing is known as well as it will be: from now on it gets tasks. */
  ready(session: Session): void
  /** False when another session has taken its place already. */
  disconnect(session: Session): boolean
  /**
   * Gives daemons to the first of the wanted tasks, the least loaded first: as many as there is room for when nobody else
   * waits, else one when it is the turn of this directive. If more is wanted, `wake` is called when its turn comes, with
   * a slot kept for it until it asks. The slots of the `ending` tasks count as free, for this directive only: until it is
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
    held: Iterable<Held>
  ): void
  /** A directive does not run: what it holds stays, but nobody waits until it has had its turn. */
  withdraw(ownerId: OwnerId, directiveId: DirectiveId): void
  /** What a daemon said it is doing, apart from what is assigned to it. */
  foreign(ownerId: OwnerId, daemonId: DaemonId, tasks: Iterable<TaskId>): void
  /** Whether a daemon may be doing a task that is not assigned to it. */
  isForeign(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): boolean
  /**
   * A daemon said that a task has ended, perhaps which hand-over of it. If it was not assigned to it, its slot is free
   * from now on, unless the daemon is at a later hand-over.
   */
  finished(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId, handOver?: number): void
  /** A daemon that is away stays away too long: its tasks are taken from it. It may still be at them when it is back. */
  lose(ownerId: OwnerId, daemonId: DaemonId): void
  /** What is still assigned to lost daemons: of one directive, or of all. */
  abandoned(ownerId: OwnerId, directiveId?: DirectiveId): ReadonlyArray<Held>
  /** A report of a task is on its way to its directive, until the answer is called. */
  reporting(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): () => void
  /** Whether the daemon has said something of the task that its directive does not know yet. */
  isReporting(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): boolean
  /** Waits until somebody else waits for the same: until the daemon has said again what it said before. */
  awaitRepeat(ownerId: OwnerId, daemonId: DaemonId, what: string): Effect.Effect<void>
  /** A task that is assigned to a daemon. */
  assignment(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): Assignment | undefined
  /** What is assigned to a daemon. */
  assignments(ownerId: OwnerId, daemonId: DaemonId): ReadonlyArray<Assignment>
  /**
   * Sends the frame that hands a task over, for the first time or again, and keeps it until it is acknowledged. False
   * when it cannot be sent.
   */
  handOver(ownerId: OwnerId, daemonId: DaemonId, frame: SpawnTask): Effect.Effect<boolean>
  /** The daemon has said something of a task that is assigned to it. */
  acknowledge(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): void
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
      const fleet = fleets.get(ownerId) ?? Slots.emptyFleet()
      fleets.set(ownerId, fleet)
      return fleet
    }
    const entryOf = (ownerId: OwnerId, daemonId: DaemonId): Entry => Slots.entryOf(fleetOf(ownerId), daemonId)

    /** Changes what is known of a daemon; whoever waits for the room that comes of it is woken. */
    const change = <A>(ownerId: OwnerId, daemonId: DaemonId, make: (entry: Entry, fleet: Fleet) => A): A => {
      const fleet = fleetOf(ownerId)
      const entry = Slots.entryOf(fleet, daemonId)
      const made = make(entry, fleet)
      Slots.recount(fleet, entry)
      Turns.serve(fleet)
      return made
    }

    /** Notes something about a task that is assigned to a daemon. */
    const note = (ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId, what: (held: Held) => Partial<Assignment>) =>
      change(ownerId, daemonId, (entry, fleet) => {
        const held = entry.tasks.get(taskId)
        if (held !== undefined) Slots.hold(fleet, entry, { ...held, ...what(held) })
      })

    const send = (ownerId: OwnerId, daemonId: DaemonId, frame: ServerFrame) =>
      Effect.suspend(() => entryOf(ownerId, daemonId).session?.send(frame) ?? Effect.succeed(false))

    return Daemons.of({
      connect: (session) =>
        Effect.suspend(() => {
          const before = change(session.ownerId, session.daemonId, (entry) => {
            const { session: before } = entry
            entry.session = session
            entry.isReady = false
            entry.isLost = false
            return before
          })
          return before === undefined ? Effect.void : before.close
        }),
      ready: (session) =>
        change(session.ownerId, session.daemonId, (entry) => {
          if (entry.session === session) entry.isReady = true
        }),
      disconnect: (session) =>
        change(session.ownerId, session.daemonId, (entry) => {
          if (entry.session !== undefined && entry.session !== session) return false
          entry.session = undefined
          entry.isReady = false
          return true
        }),
      assign: (ownerId, directiveId, wanted, wake, ending = []) =>
        Turns.assign(fleetOf(ownerId), directiveId, wanted, wake, ending),
      release: (ownerId, daemonId, taskId) => {
        change(ownerId, daemonId, (entry, fleet) => Slots.letGo(fleet, entry, taskId))
      },
      drain: (ownerId, daemonId, taskId) =>
        change(ownerId, daemonId, (entry, fleet) => {
          const held = Slots.letGo(fleet, entry, taskId)
          if (held !== undefined) Slots.addForeign(entry, taskId, held.handOver)
        }),
      restore: (ownerId, directiveId, held) => {
        const fleet = fleetOf(ownerId)
        Turns.leaveLine(fleet, directiveId)
        const changed = new Set<Entry>()
        const before = [...fleet.held.get(directiveId) ?? []]
        for (const { daemonId, taskId } of before) {
          const entry = Slots.entryOf(fleet, daemonId)
          Slots.letGo(fleet, entry, taskId)
          changed.add(entry)
        }
        for (const { daemonId, ...assignment } of held) {
          const entry = Slots.entryOf(fleet, daemonId)
          Slots.hold(fleet, entry, assignment)
          changed.add(entry)
        }
        for (const { daemonId, delivery, handOver, taskId } of before) {
          const entry = Slots.entryOf(fleet, daemonId)
          // What is over by the log may not be over for its daemon, whom nobody has told: its next heartbeat says.
          if (delivery._tag !== "Chosen" && !entry.tasks.has(taskId)) Slots.addForeign(entry, taskId, handOver)
        }
        for (const entry of changed) Slots.recount(fleet, entry)
        Turns.serve(fleet)
      },
      withdraw: (ownerId, directiveId) => {
        const fleet = fleetOf(ownerId)
        Turns.leaveLine(fleet, directiveId)
        Turns.serve(fleet)
      },
      foreign: (ownerId, daemonId, tasks) =>
        change(ownerId, daemonId, (entry) => {
          const now = new Set(tasks)
          for (const taskId of entry.foreign.keys()) if (!now.has(taskId)) Slots.removeForeign(entry, taskId)
          for (const taskId of now) Slots.addForeign(entry, taskId)
        }),
      isForeign: (ownerId, daemonId, taskId) => entryOf(ownerId, daemonId).foreign.has(taskId),
      finished: (ownerId, daemonId, taskId, handOver = Infinity) => {
        change(ownerId, daemonId, (entry) => {
          // What an earlier hand-over did says nothing of the one that is under way.
          if (handOver >= (entry.foreign.get(taskId) ?? 0)) Slots.removeForeign(entry, taskId)
        })
      },
      lose: (ownerId, daemonId) =>
        change(ownerId, daemonId, (entry) => {
          // It came back while its loss was recorded, and keeps what it has.
          if (entry.session !== undefined) return
          entry.isLost = true
          for (const { handOver, taskId } of entry.tasks.values()) Slots.addForeign(entry, taskId, handOver)
        }),
      abandoned: (ownerId, directiveId) => {
        const { daemons, held } = fleetOf(ownerId)
        const isAbandoned = ({ daemonId }: Held) => daemons.get(daemonId)!.isLost
        if (directiveId !== undefined) return [...held.get(directiveId) ?? []].filter(isAbandoned)
        return [...daemons.values()].flatMap(({ isLost, tasks }) => (isLost ? [...tasks.values()] : []))
      },
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
      awaitRepeat: (ownerId, daemonId, what) =>
        Effect.suspend(() => {
          const { repeats } = entryOf(ownerId, daemonId)
          const before = repeats.get(what)
          const repeat = Deferred.makeUnsafe<void>()
          repeats.set(what, repeat)
          if (before !== undefined) Deferred.doneUnsafe(before, Effect.void)
          return Deferred.await(repeat).pipe(
            Effect.ensuring(Effect.sync(() => repeats.get(what) === repeat && repeats.delete(what)))
          )
        }),
      assignment: (ownerId, daemonId, taskId) => entryOf(ownerId, daemonId).tasks.get(taskId),
      assignments: (ownerId, daemonId) => [...entryOf(ownerId, daemonId).tasks.values()],
      handOver: (ownerId, daemonId, frame) =>
        Effect.suspend(() => {
          note(ownerId, daemonId, frame.taskId, ({ delivery }) => {
            const times = delivery._tag === "Sent" ? delivery.times + 1 : 1
            return { delivery: { _tag: "Sent", frame, times } }
          })
          return send(ownerId, daemonId, frame)
        }),
      acknowledge: (ownerId, daemonId, taskId) => {
        if (entryOf(ownerId, daemonId).tasks.get(taskId)?.delivery._tag !== "Sent") return
        note(ownerId, daemonId, taskId, () => ({ delivery: { _tag: "Acknowledged" } }))
      },
      interrupt: (ownerId, daemonId, taskId) => {
        note(ownerId, daemonId, taskId, () => ({ interrupting: true }))
        return Effect.asVoid(send(ownerId, daemonId, { type: "interruptTask", taskId, graceful: true }))
      },
      send,
      sessions: (ownerId) =>
        [...fleetOf(ownerId).daemons.values()].flatMap(({ session }) => session === undefined ? [] : [session])
    })
  })
}
