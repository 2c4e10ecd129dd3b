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

interface Entry {
  readonly tasks: Map<TaskId, Assignment>
  /** What the daemon may be doing although it is not assigned to it (any more): it takes room all the same. */
  readonly foreign: Set<TaskId>
  /** How many reports of a task are on their way to its directive. */
  readonly reporting: Map<TaskId, number>
  session: Session | undefined
  isReady: boolean
  isLost: boolean
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
  /** Directives for whose tasks only excluded daemons have room: more room there would not help. */
  readonly particular: Map<DirectiveId, () => void>
}

/** Where a task is: which daemon has it, or is to have it. */
export interface Place {
  readonly taskId: TaskId
  readonly daemonId: DaemonId
}

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
      const entry = daemons.get(daemonId) ?? {
        tasks: new Map(),
        foreign: new Set(),
        reporting: new Map(),
        session: undefined,
        isReady: false,
        isLost: false
      }
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
      assign: (ownerId, directiveId, wanted, wake, ending = []) => {
        const fleet = fleetOf(ownerId)
        const endings = new Map<DaemonId, number>()
        for (const { daemonId, taskId } of ending) {
          const isHeld = fleet.daemons.get(daemonId)?.tasks.has(taskId) === true
          if (isHeld) endings.set(daemonId, (endings.get(daemonId) ?? 0) + 1)
        }
        const isNext = fleet.turns.delete(directiveId)
        const free = roomOf(fleet, endings) - fleet.turns.size
        // Whoever waits comes first: what is left after them is for the one who asks, unless it is its turn.
        const others = fleet.waiting.size - (fleet.waiting.has(directiveId) ? 1 : 0)
        let room = Math.max(free - others, isNext ? Math.min(1, free) : 0)
        const assigned: Array<Place> = []
        let lacks: "room" | "another daemon" | undefined
        for (const { excluded, handOver, taskId } of wanted) {
          if (room <= 0) {
            lacks = "room"
            break
          }
          const daemonId = leastLoaded(fleet, excluded, endings)
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

/** Tasks of a daemon whose slots count as free for the one who asks. */
type Endings = ReadonlyMap<DaemonId, number>
const noEndings: Endings = new Map()

const loadOf = ({ foreign, tasks }: Entry): number => {
  let load = tasks.size
  for (const taskId of foreign) if (!tasks.has(taskId)) load += 1
  return load
}

/** A daemon that takes no tasks at all is a relay or a spectator and never has room. */
const freeOf = (entry: Entry, ending = 0): number =>
  entry.session === undefined || !entry.isReady
    ? 0
    : Math.max(0, entry.session.maxConcurrentTasks - loadOf(entry) + ending)

const roomOf = (fleet: Fleet, endings = noEndings): number => {
  let room = 0
  for (const [daemonId, entry] of fleet.daemons) room += freeOf(entry, endings.get(daemonId))
  return room
}

/** Among daemons with room: the one with the fewest tasks, and of several the one that was known first. */
const leastLoaded = (fleet: Fleet, excluded: ReadonlyArray<DaemonId>, endings: Endings): DaemonId | undefined => {
  let best: { readonly daemonId: DaemonId; readonly load: number } | undefined
  for (const [daemonId, entry] of fleet.daemons) {
    const ending = endings.get(daemonId) ?? 0
    if (freeOf(entry, ending) === 0 || excluded.includes(daemonId)) continue
    const load = loadOf(entry) - ending
    if (best === undefined || load < best.load) best = { daemonId, load }
  }
  return best?.daemonId
}

const leaveLine = (fleet: Fleet, directiveId: DirectiveId): void => {
  fleet.waiting.delete(directiveId)
  fleet.turns.delete(directiveId)
  fleet.particular.delete(directiveId)
}

/** There may be room where there was none, perhaps where somebody who is particular can use it. */
const offerRoom = (fleet: Fleet): void => {
  const particular = [...fleet.particular.values()]
  fleet.particular.clear()
  for (const wake of particular) wake()
  wakeWaiting(fleet)
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
