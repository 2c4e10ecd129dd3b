/**
 * A directive as it was: its state at a position of the log, a view of it that can be printed, and what differs between
 * two views. The fold is the one that the live actor uses.
 */
import { HashMap, type Schema } from "effect"
import * as Directive from "../actors/Directive.ts"
import { currentHandOver } from "../actors/DirectiveState.ts"
import { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { RecordedEvent, StoredEvent } from "../events/EventLog.ts"

/** The state of a directive after the last event of its stream that is at `position` or before. */
export const stateAt = (
  stream: string,
  recorded: Iterable<RecordedEvent>,
  position: number = Number.POSITIVE_INFINITY
): Directive.State => {
  let state = Directive.empty(stream)
  for (const one of recorded) {
    if (one.position > position) break
    if (one.stream === stream && isOfDirective(one.event)) state = Directive.evolve(state, one.event)
  }
  return state
}

const isOfDirective = (event: StoredEvent): event is DirectiveEvent => event._tag in DirectiveEvent.cases

export type View = ReturnType<typeof view>

/** A directive for people and programs: plain values, null for what is not there, in an order that means something. */
export const view = (state: Directive.State) => ({
  version: state.version,
  directive: {
    id: state.id ?? null,
    ownerId: state.ownerId,
    title: state.title,
    goal: state.goal,
    goalRevision: state.goalRevision,
    plannedRevision: state.plannedRevision,
    status: state.status,
    reason: (state.status === "paused" ? state.pausedBecause : state.attention) ?? null,
    repositoryUrl: state.repositoryUrl ?? null,
    baseBranch: state.baseBranch,
    memoryEnabled: state.memoryEnabled,
    prUrl: state.prUrl ?? null,
    prBranch: state.prBranch ?? null,
    generation: state.generation,
    completionDueAt: state.completionDueAt ?? null
  },
  steps: HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence).map(stepView),
  tasks: tasksInOrder(state).map(taskView),
  memories: HashMap.toValues(state.memories).sort((a, b) => (a.key < b.key ? -1 : 1)).map((
    { category, key, value }
  ) => ({
    key,
    value,
    category: category ?? null
  }))
})

const stepView = (step: Directive.Step) => ({
  id: step.id,
  sequence: step.sequence,
  name: step.name,
  description: step.description ?? null,
  taskPlan: step.taskPlan ?? null,
  dependsOn: step.dependsOn,
  orderIndex: step.orderIndex,
  generation: step.generation,
  status: step.status,
  draft: step.draft,
  merged: step.merged,
  taskId: step.taskId ?? null,
  failure: step.failure ?? null
})

const taskView = (task: Directive.Task) => ({
  id: task.id,
  kind: task.kind,
  stepId: task.stepId ?? null,
  name: task.name,
  repositoryUrl: task.repositoryUrl ?? null,
  baseBranch: task.baseBranch ?? null,
  completionAction: task.completionAction ?? null,
  continueFromTaskId: task.continueFromTaskId ?? null,
  status: task.status,
  daemonId: currentHandOver(task)?.daemonId ?? null,
  handOver: task.handOvers.length,
  interrupting: task.interrupting,
  reason: task.reason ?? null
})

const kinds = ["planning", "step", "completion"]

/** The state does not keep the order in which tasks were made: they come by kind, and a step's tasks like the steps. */
const tasksInOrder = (state: Directive.State): ReadonlyArray<Directive.Task> => {
  const place = ({ stepId }: Directive.Task) =>
    stepId === undefined ? 0 : HashMap.getUnsafe(state.steps, stepId).sequence
  return HashMap.toValues(state.tasks).sort((a, b) =>
    kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || place(a) - place(b) || (a.id < b.id ? -1 : 1)
  )
}

/** Fields that differ, by name, with both values. */
export type Fields = Readonly<Record<string, { readonly from: Schema.Json; readonly to: Schema.Json }>>

export interface Differences {
  readonly added: ReadonlyArray<{ readonly id: string; readonly name: string }>
  readonly changed: ReadonlyArray<{ readonly id: string; readonly name: string; readonly fields: Fields }>
  readonly removed: ReadonlyArray<{ readonly id: string; readonly name: string }>
}

export interface Difference {
  readonly directive: Fields
  readonly steps: Differences
  readonly tasks: Differences
  readonly memories: Differences
}

/** What has to happen to `from` to make it `to`. */
export const difference = (from: View, to: View): Difference => ({
  directive: fieldsThatDiffer(from.directive, to.directive),
  steps: differences(from.steps, to.steps),
  tasks: differences(from.tasks, to.tasks),
  memories: differences(from.memories.map(named), to.memories.map(named))
})

const named = <A extends { readonly key: string }>(memory: A) => ({ id: memory.key, name: memory.key, ...memory })

type Fielded = { readonly [field: string]: Schema.Json }
type Named = Fielded & { readonly id: string; readonly name: string }

const differences = (from: ReadonlyArray<Named>, to: ReadonlyArray<Named>): Differences => {
  const before = new Map(from.map((one) => [one.id, one]))
  const after = new Map(to.map((one) => [one.id, one]))
  const brief = ({ id, name }: Named) => ({ id, name })
  return {
    added: to.filter(({ id }) => !before.has(id)).map(brief),
    changed: to.flatMap((one) => {
      const fields = fieldsThatDiffer(before.get(one.id) ?? one, one)
      return Object.keys(fields).length === 0 ? [] : [{ ...brief(one), fields }]
    }),
    removed: from.filter(({ id }) => !after.has(id)).map(brief)
  }
}

const fieldsThatDiffer = (from: Fielded, to: Fielded): Fields =>
  Object.fromEntries(
    Object.keys(to).flatMap((name) => {
      const [before, after] = [from[name] ?? null, to[name] ?? null]
      return JSON.stringify(before) === JSON.stringify(after) ? [] : [[name, { from: before, to: after }]]
    })
  )
