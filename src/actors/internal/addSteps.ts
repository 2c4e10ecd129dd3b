/** AddSteps: all of a batch or none of it, refused with the exact place (spec section 9). */
import { Graph, Option, Result } from "effect"
import { StepId } from "../../events/Ids.ts"
import { type DirectiveAnswer, InvalidStep, type NewStep, stepsMax } from "../DirectiveCommand.ts"
import { stepOf, taskOf } from "../DirectiveState.ts"
import type { Draft } from "./draft.ts"

const nameMax = 200

/** Records a StepAdded for each, dependencies before dependents where the batch allows it to be read that way. */
export const addSteps = (
  draft: Draft,
  batch: ReadonlyArray<NewStep>
): Result.Result<{ readonly steps: NonNullable<DirectiveAnswer["steps"]> }, InvalidStep> => {
  const { state } = draft
  const total = state.stepCount + batch.length
  if (total > stepsMax) {
    return Result.fail(
      new InvalidStep({
        index: -1,
        name: "",
        field: "steps",
        problem: `a directive can have ${stepsMax} steps, and this would make ${total}`
      })
    )
  }
  const planningTask = state.planningTaskId === undefined ? undefined : taskOf(state, state.planningTaskId)
  const generation = planningTask?.generation ?? Math.max(1, state.generation)
  const checked = check(draft, batch)
  if (Result.isFailure(checked)) return Result.fail(checked.failure)
  const ids: Array<StepId> = []
  for (const index of checked.success.order) {
    const { description, name, orderIndex, taskPlan } = batch[index]!
    ids[index] = StepId.make(draft.nextId())
    draft.record({
      _tag: "StepAdded",
      stepId: ids[index],
      name,
      ...(description === undefined ? {} : { description }),
      ...(taskPlan === undefined ? {} : { taskPlan }),
      dependsOn: [
        ...new Set(checked.success.dependencies[index]!.map((one) => typeof one === "number" ? ids[one]! : one))
      ],
      orderIndex: orderIndex ?? 0,
      generation,
      ...(planningTask === undefined ? {} : { plannedBy: planningTask.id })
    })
  }
  return Result.succeed({
    steps: batch.map(({ key, name }, index) => ({ id: ids[index]!, name, ...(key === undefined ? {} : { key }) }))
  })
}

interface Checked {
  /** The indexes of the batch, each step after those that it depends on. */
  readonly order: ReadonlyArray<number>
  /** What each step depends on: an index of the batch, or the id of a step that is there already. */
  readonly dependencies: ReadonlyArray<ReadonlyArray<number | StepId>>
}

/** Everything that can be wrong with a batch, the first of it reported with its place. */
const check = ({ state }: Draft, batch: ReadonlyArray<NewStep>): Result.Result<Checked, InvalidStep> => {
  const wrong = (index: number, field: string, problem: string) =>
    Result.fail(new InvalidStep({ index, name: batch[index]!.name, field, problem }))
  const byKey = new Map<string, number>()
  for (const [index, { key }] of batch.entries()) {
    if (key === undefined) continue
    if (byKey.has(key)) {
      return wrong(index, "key", `${JSON.stringify(key)} is the key of steps[${byKey.get(key)}] already`)
    }
    byKey.set(key, index)
  }
  const orderIndexOf = (index: number) => batch[index]!.orderIndex ?? 0
  const dependencies: Array<ReadonlyArray<number | StepId>> = []
  const edges: Array<readonly [from: number, to: number]> = []
  for (const [index, step] of batch.entries()) {
    if (step.name.trim() === "") return wrong(index, "name", "is empty")
    if (step.name.length > nameMax) return wrong(index, "name", `is longer than ${nameMax} characters`)
    if (step.name.includes("\0")) return wrong(index, "name", "has a NUL character")
    const orderIndex = orderIndexOf(index)
    if (!Number.isSafeInteger(orderIndex)) return wrong(index, "orderIndex", `${orderIndex} is not a whole number`)
    if (orderIndex < 0) return wrong(index, "orderIndex", `${orderIndex} is negative`)
    const own: Array<number | StepId> = []
    for (const [at, dependency] of (step.dependsOn ?? []).entries()) {
      const inBatch = byKey.get(dependency)
      const existing = inBatch === undefined ? stepOf(state, dependency as StepId) : undefined
      const theirs = inBatch === undefined ? existing?.orderIndex : orderIndexOf(inBatch)
      const place = `dependsOn[${at}]`
      if (theirs === undefined) {
        return wrong(
          index,
          place,
          `${JSON.stringify(dependency)} is neither the key of a step in this batch nor the id of a step`
        )
      }
      if (theirs > orderIndex) {
        return wrong(index, place, `the step it names has orderIndex ${theirs}, higher than its own ${orderIndex}`)
      }
      if (inBatch !== undefined) edges.push([index, inBatch])
      own.push(inBatch ?? existing!.id)
    }
    dependencies.push(own)
  }
  // Existing steps cannot depend on new ones, so a cycle is always within the batch.
  const graph = Graph.directed<number, void>((mutable) => {
    for (const index of batch.keys()) Graph.addNode(mutable, index)
    for (const [from, to] of edges) Graph.addEdge(mutable, to, from, undefined)
  })
  const cycle = Option.getOrUndefined(Graph.findCycle(graph))
  if (cycle !== undefined) {
    const path = cycle.path.toReversed().map((index) => batch[index]!.key ?? batch[index]!.name)
    return wrong(cycle.path[0]!, "dependsOn", `a cycle: ${path.join(" → ")}`)
  }
  const asGiven = edges.every(([from, to]) => to < from)
  return Result.succeed({ order: asGiven ? [...batch.keys()] : [...Graph.indices(Graph.topo(graph))], dependencies })
}
