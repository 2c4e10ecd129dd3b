/**
 * The slots of one owner's daemons, and who waits for one: plain data and functions over it.
 *
 * `Daemons.ts` keeps one of these for each owner and speaks to the connections.
 */
import type { Effect } from "effect"
import type { ServerFrame } from "../../daemon/Protocol.ts"
import type { DaemonId, DirectiveId, OwnerId, TaskId } from "../../events/Ids.ts"

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

export interface Entry {
  readonly tasks: Map<TaskId, Assignment>
  /** What the daemon may be doing although it is not assigned to it (any more): it takes room all the same. */
  readonly foreign: Set<TaskId>
  /** How many reports of a task are on their way to its directive. */
  readonly reporting: Map<TaskId, number>
  session: Session | undefined
  isReady: boolean
  isLost: boolean
}

export interface Fleet {
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

export const emptyFleet = (): Fleet => ({
  daemons: new Map(),
  waiting: new Map(),
  turns: new Set(),
  particular: new Map(),
  served: new Map(),
  slotsGiven: 0
})

export const newEntry = (): Entry => ({
  tasks: new Map(),
  foreign: new Set(),
  reporting: new Map(),
  session: undefined,
  isReady: false,
  isLost: false
})

/** What `Daemons.assign` promises. */
export const assign = (
  fleet: Fleet,
  directiveId: DirectiveId,
  wanted: Iterable<Wanted>,
  wake: () => void,
  ending: ReadonlyArray<Place>
): ReadonlyArray<Place> => {
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

export const leaveLine = (fleet: Fleet, directiveId: DirectiveId): void => {
  fleet.waiting.delete(directiveId)
  fleet.turns.delete(directiveId)
  fleet.particular.delete(directiveId)
}

/** There may be room where there was none, perhaps where somebody who is particular can use it. */
export const offerRoom = (fleet: Fleet): void => {
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
