/**
 * The daemons that are connected to this process, how loaded they are, and who waits for room.
 *
 * This is the one place that gives out slots, in memory and without waiting, so that a directive can choose a daemon in
 * the same decision that makes the task. It holds no facts: it is rebuilt from the directives and the connections.
 */
import { Context, Effect, Layer } from "effect"
import type { DaemonId, DirectiveId, OwnerId, TaskId } from "../events/Ids.ts"
import type { ServerFrame } from "./Protocol.ts"

/** One connection of a daemon. */
export interface Session {
  readonly daemonId: DaemonId
  readonly ownerId: OwnerId
  readonly hostname: string
  readonly maxConcurrentTasks: number
  /** Puts a frame on its way; false when the connection cannot take it. */
  readonly send: (frame: ServerFrame) => Effect.Effect<boolean>
  /** Ends the connection, because another one of the same daemon has taken its place. */
  readonly close: Effect.Effect<void>
}

export interface Assignment {
  readonly taskId: TaskId
  readonly directiveId: DirectiveId
  readonly handOver: number
  /** It was asked to stop; a daemon that was away then is asked again when it is back. */
  readonly interrupting: boolean
}

/** A task that wants a daemon, and the daemons that just failed to take it. */
export interface Wanted {
  readonly taskId: TaskId
  readonly handOver: number
  readonly excluded: ReadonlyArray<DaemonId>
}

export interface DaemonView {
  readonly daemonId: DaemonId
  readonly hostname: string
  readonly maxConcurrentTasks: number
  readonly connected: boolean
  readonly activeTasks: ReadonlyArray<TaskId>
}

interface Entry {
  readonly tasks: Map<TaskId, Assignment>
  /** Tasks that the daemon says it has and that are not assigned to it (any more): they take room all the same. */
  foreign: ReadonlySet<TaskId>
  session: Session | undefined
}

interface Fleet {
  readonly daemons: Map<DaemonId, Entry>
  /** Directives that wait for room, each with how to wake it. */
  readonly waiting: Map<DirectiveId, () => void>
  /**
   * When each directive last got a slot, counted in slots given. Who got one longest ago is next, so that nobody waits
   * while another gets two in a row.
   */
  readonly served: Map<DirectiveId, number>
  slotsGiven: number
  /** Directives that were woken and have not asked yet: a free slot is kept for each. */
  readonly turns: Set<DirectiveId>
  /** Directives for whose tasks only excluded daemons have room: another daemon would help, more room would not. */
  readonly particular: Map<DirectiveId, () => void>
}

export class Daemons extends Context.Service<Daemons, {
  /** Takes the place of an earlier session of the same daemon, which is closed. */
  connect(session: Session): Effect.Effect<void>
  /** False when another session has taken its place already. */
  disconnect(session: Session): boolean
  /**
   * Gives daemons to the first of the wanted tasks, the least loaded first. If more is wanted than there is room for,
   * `wake` is called once there is.
   */
  assign(
    ownerId: OwnerId,
    directiveId: DirectiveId,
    wanted: Iterable<Wanted>,
    wake: () => void
  ): ReadonlyArray<{ readonly taskId: TaskId; readonly daemonId: DaemonId }>
  /** The log says that the daemon has this task, connected or not. */
  occupy(ownerId: OwnerId, daemonId: DaemonId, assignment: Assignment): void
  release(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): void
  /** Takes back all that a directive holds or waits for, because its actor has ended or starts anew. */
  forget(ownerId: OwnerId, directiveId: DirectiveId): void
  /** What a daemon said it is doing, apart from what is assigned to it. */
  foreign(ownerId: OwnerId, daemonId: DaemonId, tasks: ReadonlySet<TaskId>): void
  /** What is assigned to a daemon. */
  assignments(ownerId: OwnerId, daemonId: DaemonId): ReadonlyArray<Assignment>
  /** Asks a daemon to stop a task, now or when it is back. */
  interrupt(ownerId: OwnerId, daemonId: DaemonId, taskId: TaskId): Effect.Effect<void>
  /** False when the daemon is not connected or its connection cannot take the frame. */
  send(ownerId: OwnerId, daemonId: DaemonId, frame: ServerFrame): Effect.Effect<boolean>
  view(ownerId: OwnerId): ReadonlyArray<DaemonView>
}>()("makima-runtime/daemon/Daemons") {
  static readonly layer = Layer.sync(Daemons, () => {
    const fleets = new Map<OwnerId, Fleet>()

    const fleetOf = (ownerId: OwnerId): Fleet => {
      const fleet = fleets.get(ownerId) ??
        {
          daemons: new Map(),
          waiting: new Map(),
          turns: new Set(),
          particular: new Map(),
          served: new Map(),
          slotsGiven: 0
        }
      fleets.set(ownerId, fleet)
      return fleet
    }
    const entryOf = (ownerId: OwnerId, daemonId: DaemonId): Entry => {
      const { daemons } = fleetOf(ownerId)
      const entry = daemons.get(daemonId) ?? { tasks: new Map(), foreign: new Set(), session: undefined }
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
          const fleet = fleetOf(session.ownerId)
          for (const wake of fleet.particular.values()) wake()
          fleet.particular.clear()
          wakeWaiting(fleet)
          return before === undefined ? Effect.void : before.close
        }),
      disconnect: (session) => {
        const entry = entryOf(session.ownerId, session.daemonId)
        if (entry.session !== session) return false
        entry.session = undefined
        entry.foreign = new Set()
        return true
      },
      assign: (ownerId, directiveId, wanted, wake) => {
        const fleet = fleetOf(ownerId)
        const isNext = fleet.turns.delete(directiveId)
        const free = roomOf(fleet) - fleet.turns.size
        // Whoever waits comes first: what is left after them is for the one who asks, unless it is its turn.
        const others = fleet.waiting.size - (fleet.waiting.has(directiveId) ? 1 : 0)
        let room = Math.max(free - others, isNext ? Math.min(1, free) : 0)
        const assigned: Array<{ readonly taskId: TaskId; readonly daemonId: DaemonId }> = []
        let lacks: "room" | "another daemon" | undefined
        for (const { excluded, handOver, taskId } of wanted) {
          if (room <= 0) {
            lacks = "room"
            break
          }
          const daemonId = leastLoaded(fleet, excluded)
          if (daemonId === undefined) {
            lacks = "another daemon"
            continue
          }
          room -= 1
          fleet.daemons.get(daemonId)!.tasks.set(taskId, {
            taskId,
            directiveId,
            handOver,
            interrupting: false
          })
          assigned.push({ taskId, daemonId })
        }
        if (assigned.length > 0) fleet.served.set(directiveId, ++fleet.slotsGiven)
        if (lacks === "room") fleet.waiting.set(directiveId, wake)
        else fleet.waiting.delete(directiveId)
        if (lacks === "another daemon") fleet.particular.set(directiveId, wake)
        else fleet.particular.delete(directiveId)
        wakeWaiting(fleet, directiveId)
        return assigned
      },
      occupy: (ownerId, daemonId, assignment) => {
        entryOf(ownerId, daemonId).tasks.set(assignment.taskId, assignment)
      },
      release: (ownerId, daemonId, taskId) => {
        if (entryOf(ownerId, daemonId).tasks.delete(taskId)) wakeWaiting(fleetOf(ownerId))
      },
      forget: (ownerId, directiveId) => {
        const fleet = fleetOf(ownerId)
        fleet.waiting.delete(directiveId)
        fleet.turns.delete(directiveId)
        fleet.particular.delete(directiveId)
        fleet.served.delete(directiveId)
        for (const { tasks } of fleet.daemons.values()) {
          for (const assignment of tasks.values()) {
            if (assignment.directiveId === directiveId) tasks.delete(assignment.taskId)
          }
        }
        wakeWaiting(fleet)
      },
      foreign: (ownerId, daemonId, tasks) => {
        const entry = entryOf(ownerId, daemonId)
        const had = entry.foreign.size
        entry.foreign = tasks
        if (tasks.size < had) wakeWaiting(fleetOf(ownerId))
      },
      assignments: (ownerId, daemonId) => [...entryOf(ownerId, daemonId).tasks.values()],
      interrupt: (ownerId, daemonId, taskId) => {
        const { tasks } = entryOf(ownerId, daemonId)
        const assignment = tasks.get(taskId)
        if (assignment !== undefined) tasks.set(taskId, { ...assignment, interrupting: true })
        return Effect.asVoid(send(ownerId, daemonId, { type: "interruptTask", taskId, graceful: true }))
      },
      send,
      view: (ownerId) =>
        [...fleetOf(ownerId).daemons].flatMap(([daemonId, { session, tasks }]) =>
          session === undefined ? [] : [{
            daemonId,
            hostname: session.hostname,
            maxConcurrentTasks: session.maxConcurrentTasks,
            connected: true,
            activeTasks: [...tasks.keys()]
          }]
        )
    })
  })
}

/** A daemon that takes no tasks at all is a relay or a spectator and never has room. */
const freeOf = ({ foreign, session, tasks }: Entry): number =>
  session === undefined ? 0 : Math.max(0, session.maxConcurrentTasks - tasks.size - foreign.size)

const roomOf = (fleet: Fleet): number => {
  let room = 0
  for (const entry of fleet.daemons.values()) room += freeOf(entry)
  return room
}

/** Among daemons with room: the one with the fewest tasks, and of several the one that was known first. */
const leastLoaded = (fleet: Fleet, excluded: ReadonlyArray<DaemonId>): DaemonId | undefined => {
  let best: { readonly daemonId: DaemonId; readonly load: number } | undefined
  for (const [daemonId, entry] of fleet.daemons) {
    if (freeOf(entry) === 0 || excluded.includes(daemonId)) continue
    const load = entry.tasks.size + entry.foreign.size
    if (best === undefined || load < best.load) best = { daemonId, load }
  }
  return best?.daemonId
}

/** Wakes as many of those who wait as there is room for. `except` has just asked. */
const wakeWaiting = (fleet: Fleet, except?: DirectiveId): void => {
  for (let room = roomOf(fleet) - fleet.turns.size; room > 0; room--) {
    let next: { readonly directiveId: DirectiveId; readonly wake: () => void; readonly served: number } | undefined
    for (const [directiveId, wake] of fleet.waiting) {
      const served = fleet.served.get(directiveId) ?? 0
      if (directiveId !== except && (next === undefined || served < next.served)) next = { directiveId, wake, served }
    }
    if (next === undefined) return
    fleet.waiting.delete(next.directiveId)
    fleet.turns.add(next.directiveId)
    next.wake()
  }
}
