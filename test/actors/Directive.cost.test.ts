/**
 * Goal: what an event costs depends on what it concerns, not on the size of the directive. Method: every look into a
 * map of steps, tasks or levels is counted, and whatever was not concerned has to be the very same object afterwards.
 * It does not measure time; `bench/` does.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as Effect from "effect"
import { HashMap, Result } from "effect"
import { vi } from "vitest"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveCommand } from "../../src/actors/DirectiveCommand.ts"
import type { StepId } from "../../src/events/Ids.ts"
import { context, created, daemonA, stepIdAt, stream } from "../support/directive.ts"

const looks = vi.hoisted(() => ({ count: 0 }))

vi.mock("effect", async (importOriginal) => {
  const effect = await importOriginal<typeof Effect>()
  const counting = new Proxy(effect.HashMap, {
    get: (module, name, receiver) => {
      const found: unknown = Reflect.get(module, name, receiver)
      if (typeof found !== "function") return found
      return (...args: ReadonlyArray<unknown>) => {
        const [map] = args
        // Going through a map is a look at each of its entries.
        const isWhole = name === "values" || name === "toValues"
        looks.count += isWhole ? effect.HashMap.size(map as HashMap.HashMap<unknown, unknown>) : 1
        return Reflect.apply(found, module, args)
      }
    }
  })
  return { ...effect, HashMap: counting }
})

const decide = (state: Directive.State, command: DirectiveCommand): Directive.Decision =>
  Result.getOrThrow(Directive.decide(state, command, context))

/** Step a, on which b depends, is under way; so many others, on three levels, have nothing to do with either. */
const besides = (unrelated: number): Directive.State => {
  const a = stepIdAt(2)
  const add = (state: Directive.State, name: string, orderIndex: number, dependsOn: ReadonlyArray<StepId> = []) =>
    Directive.evolve(state, {
      _tag: "StepAdded",
      stepId: stepIdAt(state.version + 1),
      name,
      dependsOn,
      orderIndex,
      generation: 1
    })
  let state = add(Directive.evolve(Directive.empty(stream), created), "a", 0)
  state = add(state, "b", 0, [a])
  for (let index = 0; index < unrelated; index += 1) state = add(state, `${index}`, index % 3)
  state = decide(state, { _tag: "StartDirective" }).state
  return decide(state, { _tag: "HandOver", assignments: [{ taskId: taskOf(state), daemonId: daemonA }] }).state
}

const taskOf = (state: Directive.State) => HashMap.getUnsafe(state.steps, stepIdAt(2)).taskId!

const report = (state: Directive.State) =>
  ({ _tag: "ReportTask", taskId: taskOf(state), daemonId: daemonA, handOver: 1, status: "completed" }) as const

const differing = <K, V>(before: HashMap.HashMap<K, V>, after: HashMap.HashMap<K, V>): number =>
  HashMap.toEntries(before).filter(([key, value]) => HashMap.getUnsafe(after, key) !== value).length

describe("Directive, its cost", () => {
  it("of one ending among 5,000 other steps is that among 10", () => {
    const [small, large] = [10, 5_000].map((unrelated) => {
      const state = besides(unrelated)
      looks.count = 0
      const decision = decide(state, report(state))
      return { state, decision, looks: looks.count }
    })
    assert.deepStrictEqual(large!.decision.events.map((event) => event._tag), [
      "TaskCompleted",
      "StepStarted",
      "StepCompleted",
      "StepReadied",
      "TaskCreated"
    ])
    assert.strictEqual(large!.looks, small!.looks)
    assert.isAbove(large!.looks, 0, "looks are counted")
    assert.strictEqual(differing(large!.state.steps, large!.decision.state.steps), 2, "a and b")
    assert.strictEqual(differing(large!.state.tasks, large!.decision.state.tasks), 1, "the task of a")
  })

  it("of one more step in a directive of 5,000 is that in one of 10", () => {
    const [small, large] = [10, 5_000].map((unrelated) => {
      const state = besides(unrelated)
      looks.count = 0
      decide(state, { _tag: "AddSteps", steps: [{ name: "more", dependsOn: [stepIdAt(2)] }] })
      return looks.count
    })
    assert.strictEqual(large, small)
  })

  it("of an ending grows with what it unblocks", () => {
    const costs = [1, 10, 100].map((dependents) => {
      let state = besides(10)
      const steps = Array.from({ length: dependents }, (_, index) => ({ name: `${index}`, dependsOn: [stepIdAt(2)] }))
      state = decide(state, { _tag: "AddSteps", steps }).state
      looks.count = 0
      decide(state, report(state))
      return looks.count
    })
    const [one, ten, hundred] = costs as [number, number, number]
    assert.strictEqual((hundred - ten) / 90, (ten - one) / 9, "every one of them costs the same")
  })

  it("of planning is a look at every step, once for each changed goal", () => {
    const state = besides(100)
    looks.count = 0
    const { events } = decide(state, { _tag: "UpdateDirective", goal: "another" })
    assert.deepStrictEqual(events.map((event) => event._tag), ["GoalChanged", "TaskCreated"])
    assert.isAtLeast(looks.count, 102)
  })
})
