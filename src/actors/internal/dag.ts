/**
 * Which steps can go: the two rules of spec section 3 as counts that each event keeps up to date.
 *
 * A step is *free* when all its dependencies are completed or skipped. A *level* is all steps of one orderIndex; it is
 * open while one of its steps is not completed or skipped. The lowest open level is the *frontier*: its free steps can
 * become ready. Finishing a step touches its dependents and, when it closes the frontier, the next level's free steps;
 * no other step is looked at.
 */
import { HashMap, HashSet, Option } from "effect"
import type { StepId } from "../../events/Ids.ts"
import type { StepStatus } from "../DirectiveCommand.ts"
import type { Step } from "../DirectiveState.ts"
import { dropWhile, emptyFifo, type Fifo, iterate, type List, push, values } from "./fifo.ts"

interface Level {
  readonly open: number
  /** Free, pending steps in the order in which they became free. */
  readonly free: Fifo<StepId>
}

export interface Dag {
  /** The open levels, lowest first. */
  readonly open: ReadonlyArray<number>
  readonly levels: HashMap.HashMap<number, Level>
  readonly dependents: HashMap.HashMap<StepId, List<StepId>>
  readonly counts: Readonly<Record<StepStatus, number>>
  /** Steps that were skipped while free: their entries in a level's `free` mean nothing any more. */
  readonly gone: HashSet.HashSet<StepId>
}

type Steps = HashMap.HashMap<StepId, Step>

export const empty: Dag = {
  open: [],
  levels: HashMap.empty(),
  dependents: HashMap.empty(),
  counts: { pending: 0, ready: 0, running: 0, completed: 0, failed: 0, skipped: 0 },
  gone: HashSet.empty()
}

/** The lowest orderIndex that still has a step to finish: steps over it may not start. */
export const frontier = (dag: Dag): number => dag.open[0] ?? Number.POSITIVE_INFINITY

/** The steps that can become ready now. */
export const runnable = (dag: Dag): Generator<StepId> => values(levelOf(dag, frontier(dag)).free)

export const dependentsOf = (dag: Dag, stepId: StepId): Generator<StepId> =>
  iterate(Option.getOrUndefined(HashMap.get(dag.dependents, stepId)))

export const isFinished = (step: Step): boolean => step.status === "completed" || step.status === "skipped"

/** A step takes part from now on. `steps` holds it already. */
export const entered = (dag: Dag, steps: Steps, step: Step): { readonly dag: Dag; readonly steps: Steps } => {
  let { dependents } = dag
  let waitingOn = 0
  for (const id of step.dependsOn) {
    if (isFinished(HashMap.getUnsafe(steps, id))) continue
    waitingOn += 1
    dependents = HashMap.modifyAt(
      dependents,
      id,
      (list) => Option.some<List<StepId>>({ head: step.id, tail: Option.getOrUndefined(list) })
    )
  }
  const level = levelOf(dag, step.orderIndex)
  const next: Dag = {
    ...counted(dag, undefined, "pending"),
    dependents,
    open: level.open === 0 ? opened(dag.open, step.orderIndex) : dag.open,
    levels: HashMap.set(dag.levels, step.orderIndex, { ...level, open: level.open + 1 })
  }
  return {
    dag: waitingOn === 0 ? freed(next, step) : next,
    steps: waitingOn === 0 ? steps : HashMap.set(steps, step.id, { ...step, waitingOn })
  }
}

/** A pending step waits for no dependency (any more). */
export const freed = (dag: Dag, step: Step): Dag => {
  const level = levelOf(dag, step.orderIndex)
  return {
    ...dag,
    levels: HashMap.set(dag.levels, step.orderIndex, { ...level, free: push(level.free, step.id) })
  }
}

/** A free step became ready. Ready steps leave in the order in which they came, so this is at the front. */
export const readied = (dag: Dag, step: Step): Dag => {
  const level = levelOf(dag, step.orderIndex)
  const free = dropWhile(
    dropWhile(level.free, (id) => id === step.id || HashSet.has(dag.gone, id)),
    (id) => HashSet.has(dag.gone, id)
  )
  return { ...counted(dag, step.status, "ready"), levels: HashMap.set(dag.levels, step.orderIndex, { ...level, free }) }
}

/** A step is completed or skipped. `before` is the step as it was. */
export const finished = (dag: Dag, steps: Steps, before: Step): { readonly dag: Dag; readonly steps: Steps } => {
  let next = left(dag, before)
  let changed = steps
  for (const id of dependentsOf(dag, before.id)) {
    const dependent = HashMap.getUnsafe(changed, id)
    const waitingOn = dependent.waitingOn - 1
    changed = HashMap.set(changed, id, { ...dependent, waitingOn })
    if (waitingOn === 0 && dependent.status === "pending") next = freed(next, dependent)
  }
  return { dag: { ...next, dependents: HashMap.remove(next.dependents, before.id) }, steps: changed }
}

/** One step less to finish in its level. */
const left = (dag: Dag, step: Step): Dag => {
  const level = levelOf(dag, step.orderIndex)
  const open = level.open - 1
  const gone = step.status === "pending" && step.waitingOn === 0 ? HashSet.add(dag.gone, step.id) : dag.gone
  return {
    ...dag,
    gone,
    open: open === 0 ? dag.open.filter((orderIndex) => orderIndex !== step.orderIndex) : dag.open,
    levels: open === 0
      ? HashMap.remove(dag.levels, step.orderIndex)
      : HashMap.set(dag.levels, step.orderIndex, {
        open,
        free: dropWhile(level.free, (id) => HashSet.has(gone, id))
      })
  }
}

/** Keeps the number of steps in each status. */
export const counted = (dag: Dag, from: StepStatus | undefined, to: StepStatus): Dag => {
  const counts = { ...dag.counts }
  if (from !== undefined) counts[from] -= 1
  counts[to] += 1
  return { ...dag, counts }
}

const levelOf = (dag: Dag, orderIndex: number): Level =>
  Option.getOrElse(HashMap.get(dag.levels, orderIndex), () => ({ open: 0, free: emptyFifo }))

/** Inserts a level where it belongs; levels are far fewer than steps. */
const opened = (open: ReadonlyArray<number>, orderIndex: number): ReadonlyArray<number> => {
  const at = open.findIndex((other) => other > orderIndex)
  return at < 0 ? [...open, orderIndex] : open.toSpliced(at, 0, orderIndex)
}
