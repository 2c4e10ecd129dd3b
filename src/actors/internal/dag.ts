/**
 * Which steps can go: the two rules of spec section 3 as counts that each event keeps up to date.
 *
 * A step is *free* when all its dependencies are completed or skipped. A *level* is all steps of one orderIndex; it is
 * open while one of its steps is not completed or skipped. The lowest open level is the *frontier*: its free steps can
 * become ready. Finishing a step touches its dependents and, when it closes the frontier, the next level's free steps;
 * no other step is looked at. Drafts take no part: a plan that is still being made holds nothing up.
 */
import { HashMap, Option } from "effect"
import type { StepId } from "../../events/Ids.ts"
import type { StepStatus } from "../DirectiveCommand.ts"
import type { Step } from "../DirectiveState.ts"
import { dropWhile, emptyFifo, type Fifo, iterate, type List, push, reversed, values } from "./fifo.ts"
import * as Heap from "./heap.ts"

export interface Level {
  readonly open: number
  /** Steps in the order in which they became free. One that is not pending any more leaves when it comes to the front. */
  readonly free: Fifo<StepId>
}

export interface Dag {
  /** The open levels; closed ones leave when they come to the top. */
  readonly open: Heap.Heap
  readonly levels: HashMap.HashMap<number, Level>
  readonly counts: Readonly<Record<StepStatus, number>>
}

type Steps = HashMap.HashMap<StepId, Step>
interface Changed {
  readonly dag: Dag
  readonly steps: Steps
}

export const empty: Dag = {
  open: undefined,
  levels: HashMap.empty(),
  counts: { pending: 0, ready: 0, running: 0, completed: 0, failed: 0, skipped: 0 }
}

/** The lowest orderIndex that still has a step to finish: steps over it may not start. */
export const frontier = (dag: Dag): number => dag.open?.value ?? Number.POSITIVE_INFINITY

/** The steps that can become ready now, and some that are not pending any more. */
export const runnable = (dag: Dag): Generator<StepId> => values(levelOf(dag, frontier(dag)).free)

export const isFinished = (step: Step): boolean => step.status === "completed" || step.status === "skipped"

/** A pending step takes part from now on. */
export const entered = (dag: Dag, steps: Steps, step: Step): Changed => {
  let changed = steps
  let waitingOn = 0
  for (const id of step.dependsOn) {
    const dependency = HashMap.getUnsafe(changed, id)
    if (isFinished(dependency)) continue
    waitingOn += 1
    const dependents: List<StepId> = { head: step.id, tail: dependency.dependents }
    changed = HashMap.set(changed, id, { ...dependency, dependents })
  }
  const level = levelOf(dag, step.orderIndex)
  const free = waitingOn === 0 ? push(level.free, step.id) : level.free
  return {
    dag: {
      open: level.open === 0 ? Heap.insert(dag.open, step.orderIndex) : dag.open,
      levels: HashMap.set(dag.levels, step.orderIndex, { open: level.open + 1, free }),
      counts: counted(dag.counts, undefined, "pending")
    },
    steps: HashMap.set(changed, step.id, { ...step, draft: false, waitingOn })
  }
}

/** A pending step waits for no dependency (any more). */
export const freed = (dag: Dag, step: Step): Dag => {
  const level = levelOf(dag, step.orderIndex)
  return {
    ...dag,
    levels: HashMap.set(dag.levels, step.orderIndex, { open: level.open, free: push(level.free, step.id) })
  }
}

/** A step moved from one status to another without being finished by it. `steps` has it as it is now. */
export const moved = (dag: Dag, steps: Steps, before: Step, to: StepStatus): Dag => {
  const counts = counted(dag.counts, before.status, to)
  if (to !== "ready") return { ...dag, counts }
  const level = levelOf(dag, before.orderIndex)
  const free = settled(steps, level.free)
  return { ...dag, counts, levels: HashMap.set(dag.levels, before.orderIndex, { open: level.open, free }) }
}

/** A step is completed or skipped. `before` is the step as it was, `steps` has it as it is now. */
export const finished = (dag: Dag, steps: Steps, before: Step, to: "completed" | "skipped"): Changed => {
  const counts = counted(dag.counts, before.draft ? undefined : before.status, to)
  let next = before.draft ? { ...dag, counts } : left(dag, counts, steps, before)
  let changed = steps
  for (const id of iterate(reversed(before.dependents))) {
    const dependent = HashMap.getUnsafe(changed, id)
    const waitingOn = dependent.waitingOn - 1
    changed = HashMap.set(changed, id, { ...dependent, waitingOn })
    if (waitingOn === 0 && dependent.status === "pending") next = freed(next, dependent)
  }
  return { dag: next, steps: changed }
}

/** One step less to finish in its level. */
const left = ({ levels, open }: Dag, counts: Dag["counts"], steps: Steps, before: Step): Dag => {
  const { free, open: inLevel } = levelIn(levels, before.orderIndex)
  if (inLevel > 1) {
    const level = { open: inLevel - 1, free: before.status === "pending" ? settled(steps, free) : free }
    return { open, levels: HashMap.set(levels, before.orderIndex, level), counts }
  }
  const others = HashMap.remove(levels, before.orderIndex)
  return { open: Heap.dropWhile(open, (orderIndex) => !HashMap.has(others, orderIndex)), levels: others, counts }
}

const settled = (steps: Steps, free: Fifo<StepId>): Fifo<StepId> =>
  dropWhile(free, (id) => HashMap.getUnsafe(steps, id).status !== "pending")

/** Keeps the number of steps in each status. */
const counted = (counts: Dag["counts"], from: StepStatus | undefined, to: StepStatus): Dag["counts"] => {
  const next = { ...counts }
  if (from !== undefined) next[from] -= 1
  next[to] += 1
  return next
}

const closed: Level = { open: 0, free: emptyFifo }
const levelOf = (dag: Dag, orderIndex: number): Level => levelIn(dag.levels, orderIndex)
const levelIn = (levels: Dag["levels"], orderIndex: number): Level =>
  Option.getOrElse(HashMap.get(levels, orderIndex), () => closed)
