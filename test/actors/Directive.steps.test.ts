/** Steps: how they are added and refused, when they can go, retrying and skipping (spec sections 3 and 9). */
import { assert, describe, it } from "@effect/vitest"
import * as Directive from "../../src/actors/Directive.ts"
import { InvalidStep, type NewStep, StepInState, StepNotFound } from "../../src/actors/DirectiveCommand.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { created, directiveId, stepIdAt, unknownStep } from "../support/directive.ts"
import { given } from "../support/given.ts"
import { type Scenario, scenario, step } from "../support/scenario.ts"

const add = (...steps: ReadonlyArray<NewStep>) => ({ _tag: "AddSteps", steps }) as const
const added = (version: number, name: string, more: Partial<Extract<DirectiveEvent, { _tag: "StepAdded" }>> = {}) => ({
  _tag: "StepAdded" as const,
  stepId: stepIdAt(version),
  name,
  dependsOn: [],
  orderIndex: 0,
  generation: 1,
  ...more
})

describe("Directive, steps added", () => {
  it("come with all that they were given", () => {
    given(created, added(2, "a"))
      .when(add({ name: "b", description: "The b.", taskPlan: "Do b.", dependsOn: [stepIdAt(2)], orderIndex: 3 }))
      .thenRecords(
        added(3, "b", { description: "The b.", taskPlan: "Do b.", dependsOn: [stepIdAt(2)], orderIndex: 3 })
      )
  })

  it("may name others of their batch by key, in any order, and are answered in the order given", () => {
    const batch = add({ name: "second", key: "2", dependsOn: ["1", "1"] }, { name: "first", key: "1" })
    given(created)
      .when(batch)
      .thenRecords(added(2, "first"), added(3, "second", { dependsOn: [stepIdAt(2)] }))
    given(created).when(batch).thenAnswers({
      steps: [{ id: stepIdAt(3), name: "second", key: "2" }, { id: stepIdAt(2), name: "first", key: "1" }]
    })
  })

  it("set an idle and a stalled directive going again", () => {
    for (const end of ["completed", "failed"] as const) {
      const run = scenario()
      run.plan(step("a"), step("b", ["a"]))
      run.end("a", end)
      if (end === "completed") run.end("b", end)
      assert.include(run.addSteps(step("c")), "DirectiveReactivated")
      assert.include(run.waiting, "c")
    }
  })

  it("may be none, which changes nothing", () => {
    given(created).when(add()).thenRecords()
  })
})

describe("Directive, steps refused", () => {
  const wrong = (index: number, name: string, field: string, problem: string) =>
    new InvalidStep({ index, name, field, problem })
  const refuses = (steps: ReadonlyArray<NewStep>, error: InvalidStep) =>
    given(created, added(2, "late", { orderIndex: 5 })).when(add(...steps)).thenRejects(error)

  it("for a name that is empty, blank, too long or has a NUL", () => {
    refuses([{ name: "ok" }, { name: "" }], wrong(1, "", "name", "is empty"))
    refuses([{ name: " \n" }], wrong(0, " \n", "name", "is empty"))
    refuses([{ name: "x".repeat(201) }], wrong(0, "x".repeat(201), "name", "is longer than 200 characters"))
    refuses([{ name: "a\0" }], wrong(0, "a\0", "name", "has a NUL character"))
    given(created).when(add({ name: "x".repeat(200) })).thenRecords(added(2, "x".repeat(200)))
  })

  it("for an orderIndex that is negative or not whole", () => {
    refuses([{ name: "a", orderIndex: -1 }], wrong(0, "a", "orderIndex", "-1 is negative"))
    refuses([{ name: "a", orderIndex: 0.5 }], wrong(0, "a", "orderIndex", "0.5 is not a whole number"))
  })

  it("for a dependency that nobody knows", () => {
    refuses(
      [{ name: "a", key: "a" }, { name: "b", dependsOn: ["a", "c"] }],
      wrong(1, "b", "dependsOn[1]", "\"c\" is neither the key of a step in this batch nor the id of a step")
    )
  })

  it("for a dependency with a higher orderIndex, of the batch or of before", () => {
    refuses(
      [{ name: "a", key: "a", orderIndex: 2 }, { name: "b", dependsOn: ["a"], orderIndex: 1 }],
      wrong(1, "b", "dependsOn[0]", "the step it names has orderIndex 2, higher than its own 1")
    )
    refuses(
      [{ name: "b", dependsOn: [stepIdAt(2)] }],
      wrong(0, "b", "dependsOn[0]", "the step it names has orderIndex 5, higher than its own 0")
    )
  })

  it("for a key given twice", () => {
    refuses(
      [{ name: "a", key: "k" }, { name: "b", key: "k" }],
      wrong(1, "b", "key", "\"k\" is the key of steps[0] already")
    )
  })

  it("for a cycle, whose path is shown along what each step depends on", () => {
    const [a, b, c] = [["a", "b"], ["b", "c"], ["c", "a"]].map(([key, on]) => ({
      name: key!,
      key: key!,
      dependsOn: [on!]
    }))
    refuses([{ name: "fine" }, a!, b!, c!], wrong(1, "a", "dependsOn", "a cycle: a → b → c → a"))
    refuses([{ name: "self", key: "s", dependsOn: ["s"] }], wrong(0, "self", "dependsOn", "a cycle: s → s"))
  })

  it("where a directive would have more than 10,000", () => {
    const run = scenario()
    const many = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `${index}` }))
    assert.include(run.refusal(add(...many(10_001))), "10000 steps, and this would make 10001; no step was added")
    const state = many(9_999).reduce<Directive.State>(
      (state, { name }) => Directive.evolve(state, added(state.version + 1, name)),
      Directive.evolve(Directive.empty(run.state.stream), created)
    )
    run.state = state
    assert.strictEqual(run.refusal(add({ name: "last" })), "accepted")
    assert.include(run.refusal(add({ name: "last" }, { name: "one too many" })), "this would make 10001")
  })

  it("with the place in the sentence", () => {
    assert.strictEqual(
      scenario().refusal(add({ name: "ok" }, { name: "" })),
      "steps[1].name: is empty; no step was added"
    )
  })
})

describe("Directive, advancing the graph", () => {
  it("makes a step ready when all its dependencies are completed or skipped", () => {
    const run = scenario()
    run.plan(step("a"), step("b"), step("c", ["a", "b"]))
    run.end("a", "completed")
    assert.strictEqual(run.statuses["c"], "pending")
    run.send({ _tag: "SkipStep", stepId: run.stepId("b") })
    assert.strictEqual(run.statuses["c"], "ready")
  })

  it("runs the steps of one orderIndex side by side, and a higher one after all of them", () => {
    const run = scenario()
    run.plan(step("a"), step("b"), step("c", [], 1), step("d", ["c"], 7))
    assert.deepStrictEqual(run.waiting, ["a", "b"])
    run.end("a", "completed")
    assert.deepStrictEqual(run.waiting, ["b"])
    run.end("b", "completed")
    assert.deepStrictEqual(run.waiting, ["c"])
    run.end("c", "completed")
    assert.deepStrictEqual(run.waiting, ["d"])
  })

  it("readies what one ending sets free in the order in which it was added", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]), step("c", ["a"]), step("d", ["a"]))
    run.end("a", "completed")
    assert.deepStrictEqual(run.waiting, ["b", "c", "d"])
  })

  it("is idle when all steps are terminal, failed ones among them", () => {
    const run = scenario()
    run.plan(step("a"), step("b"))
    run.end("a", "failed")
    assert.strictEqual(run.status, "active")
    run.end("b", "completed")
    assert.strictEqual(run.status, "idle")
  })

  it("gives a ready step a task that continues from its first dependency and merges the others", () => {
    const run = scenario()
    run.plan(step("a"), step("b"), step("c"), step("d", ["b", "a", "c"]))
    run.end("a", "completed")
    run.end("b", "completed")
    run.end("c", "completed")
    const task = run.last("TaskCreated")
    assert.strictEqual(task.name, "Export invoices: d")
    assert.strictEqual(task.description, "Directive step execution task")
    assert.strictEqual(task.completionAction, "branch")
    assert.strictEqual(task.continueFromTaskId, run.task("b").id)
    assert.strictEqual(task.repositoryUrl, "https://example.test/shop.git")
    for (const other of ["a", "c"]) {
      assert.include(task.plan, `makima/export-invoices-${other}-${run.task(other).id.slice(0, 8)}`)
    }
    assert.notInclude(task.plan, `makima/export-invoices-b-`)
  })

  it("continues from the first dependency that has work where the first one was skipped", () => {
    const run = scenario()
    run.plan(step("a"), step("b"), step("c", ["a", "b"]))
    run.send({ _tag: "SkipStep", stepId: run.stepId("a") })
    run.end("b", "completed")
    assert.strictEqual(run.last("TaskCreated").continueFromTaskId, run.task("b").id)
  })

  it("links the task at once and starts the step when its daemon has it", () => {
    const run = scenario()
    run.plan(step("a"))
    assert.strictEqual(run.step("a").taskId, run.task("a").id)
    run.handOver("a")
    assert.deepStrictEqual(run.statuses, { a: "ready" })
    assert.deepStrictEqual(run.report("a", "running"), ["TaskStarted", "StepStarted"])
    assert.deepStrictEqual(run.statuses, { a: "running" })
  })
})

describe("Directive, a step retried", () => {
  it("gets a new task", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.end("a", "failed")
    const first = run.task("a").id
    assert.deepStrictEqual(run.send({ _tag: "RetryStep", stepId: run.stepId("a") }), [
      "StepRetried",
      "DirectiveReactivated",
      "StepReadied",
      "TaskCreated"
    ])
    assert.notStrictEqual(run.task("a").id, first)
    run.end("a", "completed")
    assert.deepStrictEqual(run.waiting, ["b"])
  })

  it("waits for its turn where a lower orderIndex has come before it", () => {
    const run = scenario()
    run.plan(step("a", [], 1))
    run.end("a", "failed")
    run.addSteps(step("first"))
    run.send({ _tag: "RetryStep", stepId: run.stepId("a") })
    assert.deepStrictEqual(run.statuses, { a: "pending", first: "ready" })
    run.end("first", "completed")
    assert.deepStrictEqual(run.waiting, ["a"])
  })

  it("is one that failed", () => {
    const ready: DirectiveEvent = { _tag: "StepReadied", stepId: stepIdAt(2) }
    given(created, added(2, "a"), ready).when({ _tag: "RetryStep", stepId: stepIdAt(2) }).thenRejects(
      new StepInState({ stepId: stepIdAt(2), name: "a", status: "ready", refused: "be retried" })
    )
    given(created).when({ _tag: "RetryStep", stepId: unknownStep }).thenRejects(
      new StepNotFound({ directiveId, stepId: unknownStep })
    )
  })
})

describe("Directive, a step skipped", () => {
  const skip = (run: Scenario, name: string) => ({ _tag: "SkipStep", stepId: run.stepId(name) }) as const

  it("takes its waiting task with it, once", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    assert.deepStrictEqual(run.send(skip(run, "a")), ["TaskInterrupted", "StepSkipped", "StepReadied", "TaskCreated"])
    assert.deepStrictEqual(run.send(skip(run, "a")), [])
  })

  it("may be one that waits or failed, and moves the directive on", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]), step("c", ["b"]))
    run.end("a", "failed")
    run.send(skip(run, "c"))
    run.send(skip(run, "a"))
    assert.deepStrictEqual([run.status, ...run.waiting], ["active", "b"])
    run.end("b", "completed")
    assert.strictEqual(run.status, "idle")
  })

  it("makes a stalled directive idle where it was all that was left", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.end("a", "failed")
    run.send(skip(run, "b"))
    assert.strictEqual(run.status, "idle")
  })

  it("is not one whose work is under way or done", () => {
    const run = scenario()
    run.plan(step("a"))
    run.handOver("a")
    assert.include(run.refusal(skip(run, "a")), "interrupt the task first")
    run.report("a", "completed")
    assert.include(run.refusal(skip(run, "a")), "is completed: it cannot be skipped")
    given(created).when({ _tag: "SkipStep", stepId: unknownStep }).thenRejects(
      new StepNotFound({ directiveId, stepId: unknownStep })
    )
  })
})
