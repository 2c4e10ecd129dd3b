/**
 * Who gets the free slots of an owner's daemons.
 *
 * Whoever waits stands in a line, and whoever gets a slot and wants more goes to its back. So nobody waits while another
 * gets two, and nobody waits for ever: who starts anew goes to the back as well. What a change costs depends on the
 * daemons and directives that it is about.
 */
import type { DaemonId, DirectiveId, TaskId } from "../../events/Ids.ts"
import { isBefore, type Ranked } from "./ranking.ts"
import { type Entry, type Fleet, freeOf, hold, type Place, recount, type Wake, type Wanted } from "./slots.ts"

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
