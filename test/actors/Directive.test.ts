/** The directive itself: its life, its fields, its memories and the answers it gives (spec sections 2, 3 and 9). */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import {
  DirectiveExists,
  DirectiveInState,
  DirectiveNotFound,
  MemoryNotFound,
  TaskNotFound
} from "../../src/actors/DirectiveCommand.ts"
import { answersMax } from "../../src/actors/DirectiveState.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { created, directiveId, now, ownerId, started, stream, taskIdAt, unknownTask } from "../support/directive.ts"
import { given } from "../support/given.ts"
import { scenario, step } from "../support/scenario.ts"

const planning = (version: number): DirectiveEvent => ({
  _tag: "TaskCreated",
  taskId: taskIdAt(version),
  kind: "planning",
  name: "Plan: Export invoices",
  description: "Directive planning task",
  plan: "",
  repositoryUrl: "https://example.test/shop.git",
  baseBranch: "main",
  revision: 1,
  generation: 1
})

describe("Directive, created and started", () => {
  const create = {
    _tag: "CreateDirective",
    ownerId,
    title: "Export invoices",
    goal: "Invoices can be exported as CSV.",
    repositoryUrl: "https://example.test/shop.git"
  } as const

  it("is a draft after its creation and does nothing by itself", () => {
    given().when(create).thenRecords(created)
    given().when(create).thenAnswers({ directiveId, status: "draft", goalRevision: 1 })
  })

  it("starts at once where that is asked for, with a planning task", () => {
    given().when({ ...create, start: true }).thenRecords(created, started, planning(3))
  })

  it("starts once", () => {
    given(created).when({ _tag: "StartDirective" }).thenRecords(started, planning(3))
    given(created, started, planning(3)).when({ _tag: "StartDirective" }).thenRecords()
  })

  it("takes main for the base branch and keeps no memories unless told", () => {
    const { repositoryUrl: _, ...minimal } = create
    const { repositoryUrl: __, ...expected } = created as Extract<DirectiveEvent, { _tag: "DirectiveCreated" }>
    given().when(minimal).thenRecords({ ...expected, baseBranch: "main", memoryEnabled: false })
  })

  it("is created once", () => {
    given(created).when(create).thenRejects(new DirectiveExists({ directiveId }))
  })

  it("has to exist before anything else is asked of it", () => {
    given().when({ _tag: "StartDirective" }).thenRejects(new DirectiveNotFound({ directiveId: stream }))
  })
})

describe("Directive, updated", () => {
  it("records what changed and nothing else", () => {
    given(created)
      .when({ _tag: "UpdateDirective", title: "Export invoices", baseBranch: "next", memoryEnabled: false })
      .thenRecords({ _tag: "DirectiveUpdated", baseBranch: "next" })
    given(created).when({ _tag: "UpdateDirective", title: "Export invoices" }).thenRecords()
  })

  it("gives a changed goal the next revision, and the same goal none", () => {
    given(created)
      .when({ _tag: "UpdateDirective", goal: "CSV and JSON." })
      .thenRecords({ _tag: "GoalChanged", goal: "CSV and JSON.", revision: 2 })
    given(created).when({ _tag: "UpdateDirective", goal: "Invoices can be exported as CSV." }).thenRecords()
  })

  it("loses its repository by null", () => {
    const run = scenario()
    run.send({ _tag: "UpdateDirective", repositoryUrl: null })
    assert.isUndefined(run.state.repositoryUrl)
    assert.deepStrictEqual(run.send({ _tag: "UpdateDirective", repositoryUrl: null }), [])
  })

  it("knows its pull request once it is told", () => {
    given(created)
      .when({ _tag: "UpdateDirective", prUrl: "https://example.test/pr/1" })
      .thenAnswers({ prUrl: "https://example.test/pr/1" })
  })
})

describe("Directive, paused and resumed", () => {
  it("is paused with the reason, once", () => {
    given(created, started, planning(3))
      .when({ _tag: "PauseDirective", reason: "budget" })
      .thenRecords({ _tag: "DirectivePaused", reason: "budget" })
    given(created, started, planning(3)).when({ _tag: "PauseDirective" }).thenAnswers({ reason: "paused by command" })
    given(created, started, planning(3), { _tag: "DirectivePaused", reason: "budget" })
      .when({ _tag: "PauseDirective", reason: "another" })
      .thenRecords()
  })

  it("cannot be paused or resumed before it is started", () => {
    const refused = (refused: string) => new DirectiveInState({ directiveId, status: "draft", refused })
    given(created).when({ _tag: "PauseDirective" }).thenRejects(refused("be paused before it is started"))
    given(created).when({ _tag: "ResumeDirective" }).thenRejects(refused("be resumed before it is started"))
  })

  it("hands nothing over while it is paused, and counts what running tasks bring", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]), step("c"))
    run.handOver("a")
    run.send({ _tag: "PauseDirective" })
    assert.deepStrictEqual(run.waiting, [])
    assert.deepStrictEqual(run.handOver("c"), [])
    run.report("a", "completed")
    assert.deepStrictEqual(run.statuses, { a: "completed", b: "ready", c: "ready" })
    assert.strictEqual(run.status, "paused")
  })

  it("catches up when it is resumed", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.handOver("a")
    run.send({ _tag: "PauseDirective" })
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.report("a", "completed")
    assert.strictEqual(run.status, "paused")
    run.send({ _tag: "ResumeDirective" })
    assert.deepStrictEqual(run.waiting, ["Re-plan: Export invoices", "b"])
    assert.deepStrictEqual(run.send({ _tag: "ResumeDirective" }), [])
  })

  it("does not plan while it is paused", () => {
    const run = scenario()
    run.handOver("Plan")
    run.send({ _tag: "PauseDirective" })
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.addSteps(step("a"))
    assert.notInclude(run.report("Plan", "completed"), "TaskCreated")
  })

  it("becomes idle on resuming when everything ended meanwhile", () => {
    const run = scenario()
    run.plan(step("a"))
    run.handOver("a")
    run.send({ _tag: "PauseDirective" })
    run.report("a", "completed")
    run.send({ _tag: "ResumeDirective" })
    assert.strictEqual(run.status, "idle")
  })

  it("stays paused when steps are added", () => {
    const run = scenario()
    run.plan(step("a"))
    run.end("a", "completed")
    run.send({ _tag: "PauseDirective" })
    run.addSteps(step("b"))
    assert.strictEqual(run.status, "paused")
    assert.deepStrictEqual(run.statuses, { a: "completed", b: "ready" })
    run.send({ _tag: "ResumeDirective" })
    assert.include(run.waiting, "b")
  })
})

describe("Directive, archived", () => {
  it("interrupts what runs, ends what waits, and refuses commands", () => {
    const run = scenario()
    run.plan(step("a"), step("b"))
    run.handOver("a")
    run.report("a", "running")
    run.send({ _tag: "ArchiveDirective" })
    assert.isTrue(run.task("a").interrupting)
    assert.strictEqual(run.task("b").status, "interrupted")
    assert.deepStrictEqual(run.waiting, [])
    assert.include(run.refusal({ _tag: "ResumeDirective" }), "is archived: it cannot take commands")
    assert.include(run.refusal({ _tag: "AddSteps", steps: [step("c")] }), "archived")
    assert.deepStrictEqual(run.send({ _tag: "ArchiveDirective" }), [])
  })

  it("takes in how its tasks end, and begins nothing", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]), step("c"))
    run.handOverAll()
    run.send({ _tag: "ArchiveDirective" })
    assert.deepStrictEqual(run.report("a", "completed"), ["TaskCompleted", "StepStarted", "StepCompleted"])
    assert.deepStrictEqual(run.loseDaemon("c"), ["HandOverFailed", "TaskInterrupted", "StepFailed"])
    assert.strictEqual(run.state.openTasks, 0)
    assert.isUndefined(run.dueAt)
  })

  it("is not paused by its interrupted planning task", () => {
    const run = scenario()
    run.handOver("Plan")
    run.send({ _tag: "ArchiveDirective" })
    assert.deepStrictEqual(run.report("Plan", "interrupted"), ["TaskInterrupted"])
  })

  it("does not try an interrupted completion again", () => {
    const run = scenario()
    run.plan(step("a"))
    run.end("a", "completed")
    run.handOver("PR")
    run.send({ _tag: "ArchiveDirective" })
    assert.deepStrictEqual(run.report("PR", "interrupted"), ["TaskInterrupted"])
  })
})

describe("Directive, its memories", () => {
  it("keeps, replaces and forgets them", () => {
    const set = { _tag: "MemorySet", key: "tests", value: "npm test", category: "commands" } as const
    given(created).when({ ...set, _tag: "SetMemory" }).thenRecords(set)
    given(created, set).when({ _tag: "RemoveMemory", key: "tests" }).thenRecords({
      _tag: "MemoryRemoved",
      key: "tests"
    })
    given(created, set, { _tag: "MemoryRemoved", key: "tests" })
      .when({ _tag: "RemoveMemory", key: "tests" })
      .thenRejects(new MemoryNotFound({ directiveId, key: "tests" }))
    const run = scenario()
    run.send({ _tag: "SetMemory", key: "tests", value: "npm test" })
    run.send({ _tag: "SetMemory", key: "tests", value: "make test" })
    assert.strictEqual(HashMap.getUnsafe(run.state.memories, "tests").value, "make test")
  })

  it("puts them into planning and step prompts where they are enabled, and nowhere else", () => {
    for (const memoryEnabled of [true, false]) {
      const run = scenario({ memoryEnabled, start: false })
      run.send({ _tag: "SetMemory", key: "tests", value: "run them with make" })
      run.send({ _tag: "StartDirective" })
      const says = (of: string) => run.task(of).plan.includes("run them with make")
      assert.strictEqual(says("Plan"), memoryEnabled)
      run.plan(step("a"))
      assert.strictEqual(says("a"), memoryEnabled)
    }
  })
})

describe("Directive, an idempotency key", () => {
  it("gets its first answer again, whatever has happened since", () => {
    const run = scenario()
    run.handOver("Plan")
    const [, answered] = run.send({ _tag: "AddSteps", steps: [step("a")] }, "key-1")
    assert.strictEqual(answered, "CommandAnswered")
    run.report("Plan", "completed")
    run.send({ _tag: "PauseDirective" })
    const again = Result.getOrThrow(run.decide({ _tag: "AddSteps", steps: [step("a")] }, "key-1"))
    assert.deepStrictEqual(again.events, [])
    assert.strictEqual(again.state, run.state)
    assert.strictEqual(again.answer.status, "active")
    assert.deepStrictEqual(again.answer.steps, [{ id: run.stepId("a"), name: "a", key: "a" }])
  })

  it("of the creation gives the created directive back instead of a refusal", () => {
    const create = { _tag: "CreateDirective", ownerId, title: "T", goal: "G" } as const
    const first = Result.getOrThrow(Directive.decide(Directive.empty(stream), create, {
      now,
      policy: Directive.defaultPolicy
    }, "key-1"))
    const again = Directive.decide(first.state, create, { now, policy: Directive.defaultPolicy }, "key-1")
    assert.deepStrictEqual(Result.getOrThrow(again).answer, first.answer)
  })

  it("of a refused command stays free", () => {
    const run = scenario()
    const command = { _tag: "RemoveMemory", key: "tests" } as const
    assert.isTrue(Result.isFailure(run.decide(command, "key-1")))
    run.send({ _tag: "SetMemory", key: "tests", value: "npm test" })
    assert.deepStrictEqual(run.send(command, "key-1"), ["MemoryRemoved", "CommandAnswered"])
  })

  it("is forgotten when a hundred newer ones have come", () => {
    const run = scenario()
    const set = (index: number) => run.send({ _tag: "SetMemory", key: "n", value: `${index}` }, `key-${index}`)
    for (let index = 0; index < answersMax; index += 1) set(index)
    assert.deepStrictEqual(set(0), [])
    set(answersMax)
    assert.strictEqual(HashMap.size(run.state.answers), answersMax)
    assert.deepStrictEqual(set(1), [])
    assert.deepStrictEqual(set(0), ["MemorySet", "CommandAnswered"])
  })
})

describe("Directive, a task interrupted by command", () => {
  it("is asked of its daemon once, and ends when the daemon says so", () => {
    const run = scenario()
    run.plan(step("a"))
    run.handOver("a")
    const interrupt = { _tag: "InterruptTask", taskId: run.task("a").id } as const
    assert.deepStrictEqual(run.send(interrupt), ["InterruptRequested"])
    assert.deepStrictEqual(run.send(interrupt), [])
    run.report("a", "interrupted")
    assert.deepStrictEqual(run.statuses, { a: "failed" })
    assert.deepStrictEqual(run.send(interrupt), [])
  })

  it("ends at once where no daemon has it", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]))
    run.send({ _tag: "InterruptTask", taskId: run.task("a").id })
    assert.deepStrictEqual(run.statuses, { a: "failed", b: "pending" })
    assert.strictEqual(run.status, "stalled")
  })

  it("pauses the directive where it was planning", () => {
    const run = scenario()
    run.send({ _tag: "InterruptTask", taskId: run.task("Plan").id })
    assert.strictEqual(run.state.pausedBecause, "planning failed: interrupted by command")
  })

  it("has to exist", () => {
    given(created)
      .when({ _tag: "InterruptTask", taskId: unknownTask })
      .thenRejects(new TaskNotFound({ taskId: unknownTask }))
  })
})
