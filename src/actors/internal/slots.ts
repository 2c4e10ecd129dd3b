/**
 * The slots of one owner's daemons: who has them, which are free, and who waits for one. Plain data and functions over
 * it, which `Daemons.ts` keeps for each owner.
 *
 * Whoever waits stands in a line, and whoever gets a slot and wants more goes to its back. So nobody waits while another
 * gets two, and nobody waits for ever: who starts anew goes to the back as well. What a change costs depends on the daemons and directives that it is about.
 */
import type { Effect } from "effect"
import type { ServerFrame, SpawnTask } from "../../daemon/Protocol.ts"
import type { DaemonId, DirectiveId, OwnerId, TaskId } from "../../events/Ids.ts"
import { Aside } from "./aside.ts"
import { Line } from "./line.ts"
import { isBefore, type Ranked, Ranking } from "./ranking.ts"

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

/**
 * How far a hand-over has come: chosen, but not in the log yet; sent, so many times by this process, and nothing heard
 * of it; or acknowledged, since the daemon has said something of the task.
 */
export type Delivery =
  | { readonly _tag: "Chosen" }
  | { readonly _tag: "Sent"; readonly frame: SpawnTask; readonly times: number }
  | { readonly _tag: "Acknowledged" }

export interface Assignment {
  readonly taskId: TaskId
  readonly directiveId: DirectiveId
  readonly handOver: number
  /** It was asked to stop; a daemon that was away then is asked again when it is back. */
  readonly interrupting: boolean
  readonly delivery: Delivery
}

/** A task that wants a daemon, and the daemons that just failed to take it. */
export interface Wanted {
  readonly taskId: TaskId
  readonly handOver: number
  readonly excluded: ReadonlyArray<DaemonId>
}

/** Where a task is: which daemon has it, or is to have it. */
export interface Place {
  readonly taskId: TaskId
  readonly daemonId: DaemonId
}

export interface Held extends Assignment {
  readonly daemonId: DaemonId
}

export interface Entry extends Ranked {
  readonly daemonId: DaemonId
  readonly tasks: Map<TaskId, Held>
  /**
   * What the daemon may be doing although it is not assigned to it (any more): it takes room all the same, until that
   * hand-over or a later one has ended. 0 where it is not known which it is.
   */
  readonly foreign: Map<TaskId, number>
  /** How many reports of a task are on their way to its directive. */
  readonly reporting: Map<TaskId, number>
  session: Session | undefined
  isReady: boolean
  isLost: boolean
  /** The free slots of it that are counted in the room of the fleet. */
  free: number
}

type Wake = () => void

export interface Fleet {
  readonly daemons: Map<DaemonId, Entry>
  /** The daemons that have room. */
  readonly ranking: Ranking<Entry>
  /** The free slots of all daemons. */
  room: number
  /** What each directive holds. */
  readonly held: Map<DirectiveId, Set<Held>>
  /** Directives that wait for room, each with how to wake it. */
  readonly line: Line<DirectiveId, Wake>
  /** Directives that were woken and have not asked yet: a free slot is kept for each. */
  readonly turns: Set<DirectiveId>
  /** Who had the latest turn: it has none again while another waits. */
  latest: DirectiveId | undefined
  /** Directives for whose tasks only excluded daemons have room: more room there would not help. */
  readonly aside: Aside<DirectiveId, Wake>
}

export const emptyFleet = (): Fleet => ({
  daemons: new Map(),
  ranking: new Ranking(),
  room: 0,
  held: new Map(),
  line: new Line(),
  turns: new Set(),
  latest: undefined,
  aside: new Aside()
})

export const entryOf = (fleet: Fleet, daemonId: DaemonId): Entry => {
  const known = fleet.daemons.get(daemonId)
  if (known !== undefined) return known
  const entry: Entry = {
    daemonId,
    sequence: fleet.daemons.size,
    tasks: new Map(),
    foreign: new Map(),
    reporting: new Map(),
    session: undefined,
    isReady: false,
    isLost: false,
    load: 0,
    free: 0,
    place: -1
  }
  fleet.daemons.set(daemonId, entry)
  return entry
}

// What daemons have. After changing it, `recount` says what follows for the room.

export const hold = (fleet: Fleet, entry: Entry, assignment: Assignment): void => {
  const { directiveId, taskId } = assignment
  letGo(fleet, entry, taskId)
  const held = { ...assignment, daemonId: entry.daemonId }
  entry.tasks.set(taskId, held)
  if (!entry.foreign.has(taskId)) entry.load += 1
  const its = fleet.held.get(directiveId)
  if (its === undefined) fleet.held.set(directiveId, new Set([held]))
  else its.add(held)
}

/** What the daemon had of the task, if anything. */
export const letGo = (fleet: Fleet, entry: Entry, taskId: TaskId): Held | undefined => {
  const held = entry.tasks.get(taskId)
  if (held === undefined) return undefined
  entry.tasks.delete(taskId)
  if (!entry.foreign.has(taskId)) entry.load -= 1
  const its = fleet.held.get(held.directiveId)!
  its.delete(held)
  if (its.size === 0) fleet.held.delete(held.directiveId)
  return held
}

export const addForeign = (entry: Entry, taskId: TaskId, handOver = 0): void => {
  const known = entry.foreign.get(taskId)
  entry.foreign.set(taskId, Math.max(known ?? 0, handOver))
  if (known === undefined && !entry.tasks.has(taskId)) entry.load += 1
}

export const removeForeign = (entry: Entry, taskId: TaskId): boolean => {
  if (!entry.foreign.delete(taskId)) return false
  if (!entry.tasks.has(taskId)) entry.load -= 1
  return true
}

/** A daemon that takes no tasks at all is a relay or a spectator and never has room. */
const freeOf = (entry: Entry, ending = 0): number =>
  entry.session === undefined || !entry.isReady
    ? 0
    : Math.max(0, entry.session.maxConcurrentTasks - entry.load + ending)

/** The load of a daemon or its connection has changed. */
export const recount = (fleet: Fleet, entry: Entry): void => {
  const free = freeOf(entry)
  fleet.room += free - entry.free
  if (entry.free === 0 && free > 0) {
    for (const { key, value } of fleet.aside.takeUnless(entry.daemonId)) fleet.line.join(key, value)
  }
  entry.free = free
  if (free > 0) fleet.ranking.put(entry)
  else fleet.ranking.remove(entry)
}

// Who gets a slot.

/** Wakes as many of those who wait as there is room for. */
export const serve = (fleet: Fleet): void => {
  while (fleet.room > fleet.turns.size) {
    const next = fleet.line.next(fleet.latest)
    if (next === undefined) return
    fleet.line.leave(next.key)
    fleet.turns.add(next.key)
    fleet.latest = next.key
    next.value()
  }
}

export const leaveLine = (fleet: Fleet, directiveId: DirectiveId): void => {
  fleet.line.leave(directiveId)
  fleet.turns.delete(directiveId)
  fleet.aside.leave(directiveId)
}

/** What `Daemons.assign` promises. */
export const assign = (
  fleet: Fleet,
  directiveId: DirectiveId,
  wanted: Iterable<Wanted>,
  wake: Wake,
  ending: ReadonlyArray<Place>
): ReadonlyArray<Place> => {
  const endings = endingsOf(fleet, ending)
  const wasWoken = fleet.turns.delete(directiveId)
  let free = fleet.room - fleet.turns.size
  for (const [entry, count] of endings) free += freeOf(entry, count) - entry.free
  const waiting = fleet.line.size - (fleet.line.has(directiveId) ? 1 : 0)
  const isNext = wasWoken || waiting === 0 || fleet.line.next(fleet.latest)?.key === directiveId
  // Whoever is alone gets all that it wants; otherwise one at a time, each in its turn.
  let left = waiting + fleet.turns.size === 0 ? free : isNext ? Math.min(1, free) : 0
  const assigned: Array<Place> = []
  let lacks: "nothing" | "room" | "another daemon" = "nothing"
  let refused: ReadonlyArray<DaemonId> | undefined
  for (const { excluded, handOver, taskId } of wanted) {
    if (left <= 0) {
      lacks = "room"
      break
    }
    const entry = leastLoaded(fleet, excluded, endings)
    if (entry === undefined) {
      lacks = "another daemon"
      refused = refused?.filter((daemonId) => excluded.includes(daemonId)) ?? excluded
      continue
    }
    left -= 1
    hold(fleet, entry, { taskId, directiveId, handOver, interrupting: false, delivery: { _tag: "Chosen" } })
    recount(fleet, entry)
    assigned.push({ taskId, daemonId: entry.daemonId })
  }
  if (assigned.length > 0) fleet.latest = directiveId
  if (lacks === "another daemon") fleet.aside.join(directiveId, wake, refused!)
  else fleet.aside.leave(directiveId)
  if (lacks !== "room") fleet.line.leave(directiveId)
  else if (assigned.length > 0) fleet.line.join(directiveId, wake)
  else if (wasWoken) {
    // The room that it was woken for is gone again, but its turn is not.
    fleet.line.join(directiveId, wake, "front")
    if (fleet.latest === directiveId) fleet.latest = undefined
  } else if (!fleet.line.has(directiveId)) fleet.line.join(directiveId, wake)
  serve(fleet)
  return assigned
}

/** How many tasks of each daemon end: their slots count as free for the one who asks. */
type Endings = ReadonlyMap<Entry, number>

const endingsOf = (fleet: Fleet, ending: ReadonlyArray<Place>): Endings => {
  const endings = new Map<Entry, Set<TaskId>>()
  for (const { daemonId, taskId } of ending) {
    const entry = fleet.daemons.get(daemonId)
    if (entry?.tasks.has(taskId) !== true) continue
    // A batch may name a place twice, as when a late success follows the end of its own hand-over.
    endings.set(entry, (endings.get(entry) ?? new Set()).add(taskId))
  }
  return new Map(Array.from(endings, ([entry, { size }]) => [entry, size]))
}

/** Among daemons with room: the one with the fewest tasks, and of several the one that was known first. */
const leastLoaded = (fleet: Fleet, excluded: ReadonlyArray<DaemonId>, endings: Endings): Entry | undefined => {
  let best: Ranked | undefined
  let found: Entry | undefined
  const consider = (entry: Entry, load: number) => {
    const { place, sequence } = entry
    if (best !== undefined && !isBefore({ load, sequence, place }, best)) return
    best = { load, sequence, place }
    found = entry
  }
  const first = fleet.ranking.first((entry) => endings.has(entry) || excluded.includes(entry.daemonId))
  if (first !== undefined) consider(first, first.load)
  for (const [entry, count] of endings) {
    if (freeOf(entry, count) > 0 && !excluded.includes(entry.daemonId)) consider(entry, entry.load - count)
  }
  return found
}
