/**
 * The slots of one owner's daemons: which there are, and who has them. Plain data and functions over it, which
 * `Daemons.ts` keeps for each owner. Who is next is in `turns.ts`.
 */
import type { Deferred, Effect } from "effect"
import type { ServerFrame, SpawnTask } from "../../daemon/Protocol.ts"
import type { DaemonId, DirectiveId, OwnerId, TaskId } from "../../events/Ids.ts"
import { Aside } from "./aside.ts"
import { Line } from "./line.ts"
import { type Ranked, Ranking } from "./ranking.ts"

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
  /** Who waits for the daemon to say something again, by what that is. */
  readonly repeats: Map<string, Deferred.Deferred<void>>
  session: Session | undefined
  isReady: boolean
  isLost: boolean
  /** The free slots of it that are counted in the room of the fleet. */
  free: number
}

export type Wake = () => void

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
    repeats: new Map(),
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

/** How many more tasks it takes when so many have ended. A daemon that takes none at all is a relay or a spectator and never has room. */
export const freeOf = (entry: Entry, ending = 0): number =>
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
