/**
 * Where the original goes wrong: a named test for each row of the table of spec section 8, in its order and under its
 * words, to be read beside it. What is required is shown where it matters: by the rules alone, or with the actors on a log
 * that fails, restarts and is shared. More of each, in detail, is in `actors/` and `daemon/`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Directive from "../src/actors/Directive.ts"
import type { DirectiveCommand, NewStep } from "../src/actors/DirectiveCommand.ts"
import * as BranchName from "../src/daemon/BranchName.ts"
import type { SpawnTask } from "../src/daemon/Protocol.ts"
import { EventLog } from "../src/events/EventLog.ts"
import {
  ask,
  chain,
  create,
  eventsOf,
  otherId,
  runtime,
  server,
  settle,
  statusOf,
  stream,
  tagsOf
} from "./support/actors.ts"
import * as ControlledLog from "./support/controlledLog.ts"
import { directiveId, ownerId } from "./support/directive.ts"
import { connectDaemon } from "./support/fakeDaemon.ts"
import { liveAndDie } from "./support/liveAndDie.ts"
import { scenario, step } from "./support/scenario.ts"

describe("Where the original goes wrong", () => {
  it.effect("a task marked `starting` whose send failed stays so for ever", () =>
    Effect.gen(function*() {
      const broken = yield* connectDaemon(ownerId, "broken")
      yield* broken.breakConnection
      yield* create([{ name: "a" }])
      yield* settle
      assert.deepStrictEqual((yield* tagsOf()).slice(-2), ["TaskHandedOver", "HandOverFailed"])
      // The failing one comes back, and is not offered the task again for a while.
      const failed = (yield* eventsOf()).findLast((event) => event._tag === "HandOverFailed")
      assert.deepInclude(failed, { daemonId: broken.daemonId, excludedUntil: Directive.defaultPolicy.exclusionMillis })
      yield* connectDaemon(ownerId, "broken")
      yield* settle
      assert.strictEqual((yield* tagsOf()).at(-1), "HandOverFailed")
      const other = yield* connectDaemon(ownerId, "other")
      const again = yield* other.nextTask
      assert.strictEqual(again.handOver, 2)
      yield* other.report(again, "completed")
      assert.strictEqual(yield* statusOf(), "idle")
    }).pipe(Effect.provide(runtime)))

  it("a planning task that ends with no steps starts another, every 15 s, for ever", () => {
    const run = scenario()
    run.plan()
    assert.strictEqual(run.status, "paused")
    assert.strictEqual(Directive.answerOf(run.state).reason, "the plan added no steps")
    assert.isUndefined(run.dueAt)
    assert.deepStrictEqual(run.pass(15_000), [])
    run.send({ _tag: "ResumeDirective" })
    assert.deepStrictEqual(run.waiting, ["Plan: Export invoices"])
  })

  it("re-planning compares times: a plan made for the old goal but finished after the goal changed hides the change", () => {
    const run = scenario()
    run.handOver("Plan")
    run.send({ _tag: "UpdateDirective", goal: "CSV and JSON." })
    run.addSteps(step("a"))
    assert.strictEqual(run.task("Plan").revision, 1)
    run.report("Plan", "completed")
    assert.strictEqual(run.task("Plan").revision, 2)
    assert.deepStrictEqual(run.waiting, ["Re-plan: Export invoices", "a"])
    run.plan(step("b"))
    assert.deepStrictEqual(run.pass(15_000), [])
    assert.deepStrictEqual(run.waiting, ["a", "b"])
  })

  it("a completion task that fails is started again, every 15 s, for ever", () => {
    const run = scenario()
    run.plan(step("a"))
    run.end("a", "completed")
    const delays: Array<number> = []
    while (run.state.attention === undefined) {
      run.end("PR", "failed")
      if (run.dueAt === undefined) break
      delays.push(run.dueAt - run.now)
      run.pass(run.dueAt - run.now)
    }
    assert.deepStrictEqual(delays, [10_000, 20_000])
    assert.include(Directive.answerOf(run.state).reason, "the pull request failed 3 times")
    assert.deepStrictEqual(run.pass(1_000_000), [])
  })

  it("after a completed PR nothing remembers what it contained", () => {
    const run = scenario()
    run.plan(step("a"), step("b"))
    run.end("a", "completed")
    run.end("b", "failed")
    run.send({ _tag: "UpdateDirective", prUrl: "https://example.test/pr/1" })
    assert.deepStrictEqual(run.last("TaskCreated").contents, [run.stepId("a")])
    run.end("PR", "completed")
    assert.deepStrictEqual(run.pass(15_000), [])
    run.send({ _tag: "RetryStep", stepId: run.stepId("b") })
    run.end("b", "completed")
    assert.deepStrictEqual(run.last("TaskCreated").contents, [run.stepId("b")])
  })

  it("dependents of a failed step stay pending for ever and the directive never ends", () => {
    const run = scenario()
    run.plan(step("a"), step("b", ["a"]), step("c", ["b"]), step("d"), step("later", [], 1))
    run.end("a", "failed")
    assert.strictEqual(run.status, "active")
    run.end("d", "completed")
    assert.strictEqual(run.status, "stalled")
    assert.deepStrictEqual(run.last("DirectiveStalled"), {
      _tag: "DirectiveStalled",
      failed: [run.stepId("a")],
      blocked: 3
    })
    assert.strictEqual(Directive.answerOf(run.state).reason, "failed: \"a\"; held up by that: 3 steps")
    assert.deepStrictEqual(run.pass(15_000), [])
    const stalledAt = run.events.length
    for (
      const command of [
        { _tag: "RetryStep", stepId: run.stepId("a") },
        { _tag: "SkipStep", stepId: run.stepId("a") },
        { _tag: "UpdateDirective", goal: "CSV and JSON." }
      ] as const
    ) {
      const again = scenario()
      again.state = run.events.slice(0, stalledAt).reduce(Directive.evolve, Directive.empty(stream))
      again.send(command)
      assert.strictEqual(again.status, "active", command._tag)
    }
  })

  it("the merge preamble and the completion prompt name the same branch differently", () => {
    const run = scenario()
    run.plan(step("a"), step("Write the CSV reader!"), step("c", ["a", "Write the CSV reader!"]))
    run.end("a", "completed")
    run.end("Write the CSV reader!", "completed")
    const merging = run.task("c").plan
    run.end("c", "completed")
    const { id, name } = run.task("Write the CSV reader!")
    assert.include(merging, BranchName.ofTask(name, id))
    assert.include(run.last("TaskCreated").plan, BranchName.ofTask(name, id))
  })

  it.effect("a daemon that dies leaves its tasks `running` for ever", () =>
    Effect.gen(function*() {
      const first = yield* connectDaemon(ownerId, "first")
      yield* create([{ name: "a" }])
      // An agent that takes its time, or thinks in silence, is no reason to doubt its daemon.
      yield* TestClock.adjust("10 hours")
      const task = yield* first.nextTask
      yield* first.report(task, "running")
      // Silent, it is suspect: it keeps what it has and gets nothing new. In time, it is back, and all is well.
      yield* first.disconnect
      yield* ask({ _tag: "AddSteps", steps: [{ name: "new" }] })
      yield* TestClock.adjust("119 seconds")
      assert.strictEqual((yield* tagsOf()).filter((tag) => tag === "TaskHandedOver").length, 1)
      const back = yield* connectDaemon(ownerId, "first")
      yield* back.report(yield* back.nextTask, "completed")
      yield* TestClock.adjust("10 minutes")
      assert.notInclude(yield* tagsOf(), "HandOverFailed")
      // Away for longer, it is lost, and so are those after it: handed over three times, the task fails.
      yield* back.disconnect
      yield* TestClock.adjust("2 minutes")
      for (const machine of ["second", "third"]) {
        const daemon = yield* connectDaemon(ownerId, machine)
        const again = yield* daemon.nextTask
        yield* daemon.report(again, "running")
        yield* daemon.disconnect
        yield* TestClock.adjust("2 minutes")
        yield* settle
      }
      const failed = (yield* eventsOf()).find((event) => event._tag === "TaskFailed")
      assert.match(failed?.reason ?? "", /^handed over 3 times in vain, the last time because daemon .* was lost$/)
      assert.strictEqual(yield* statusOf(), "idle")
    }).pipe(Effect.provide(runtime)))

  it.effect("a report that arrives late changes whatever is there", () =>
    Effect.gen(function*() {
      const first = yield* connectDaemon(ownerId, "first")
      yield* create(chain)
      const late = yield* first.nextTask
      yield* first.disconnect
      yield* TestClock.adjust("2 minutes")
      const second = yield* connectDaemon(ownerId, "second")
      const newer = yield* second.nextTask
      yield* first.report(late, "failed")
      assert.deepStrictEqual((yield* tagsOf()).at(-1), "ReportIgnored")
      yield* first.report(late, "completed")
      assert.deepStrictEqual(yield* Queue.take(second.frames), {
        type: "interruptTask",
        taskId: newer.taskId,
        graceful: false
      })
      yield* second.report(newer, "interrupted")
      const ends = (yield* eventsOf()).filter(({ _tag }) => /^Task(Completed|Failed|Interrupted)$/.test(_tag))
      assert.deepStrictEqual(ends, [{ _tag: "TaskCompleted", taskId: late.taskId, handOver: 1 }])
      assert.strictEqual((yield* second.nextTask).taskName, "Greet: b")
    }).pipe(Effect.provide(runtime)))

  it.effect("create a task, link it, mark the step: three writes, and a crash between them leaves orphans or doubles", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create(chain)
      const a = yield* daemon.nextTask
      control.appends.length = 0
      yield* daemon.report(a, "completed")
      const [append, ...more] = control.appends.filter(([append]) => append?.stream === stream)
      assert.deepStrictEqual(more, [])
      assert.deepStrictEqual(
        append?.[0]?.events.map(({ _tag }) => _tag),
        ["TaskCompleted", "StepStarted", "StepCompleted", "StepReadied", "TaskCreated", "TaskHandedOver"]
      )
    }).pipe(Effect.provide(runtime)))

  it.effect("one error ends the tick for every later phase and directive", () =>
    Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create(chain)
      yield* create(chain, otherId)
      const tasks = [yield* daemon.nextTask, yield* daemon.nextTask]
      const [mine, theirs] = tasks.toSorted((a) => (a.directiveId === directiveId ? -1 : 1)) as [SpawnTask, SpawnTask]
      const progress = Effect.gen(function*() {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(daemon.report(mine, "completed"))))
        yield* daemon.report(theirs, "completed")
        yield* daemon.report(yield* daemon.nextTask, "completed")
      })
      yield* ControlledLog.whileFailing((one) => one === stream, progress)
      assert.strictEqual(yield* statusOf(otherId), "idle")
      yield* TestClock.adjust("1 second")
      yield* daemon.report(mine, "completed")
      yield* daemon.report(yield* daemon.nextTask, "completed")
      assert.strictEqual(yield* statusOf(), "idle")
      const log = yield* EventLog
      const failures = (yield* Stream.runCollect(log.read("supervisor-local"))).flatMap(({ event }) =>
        event._tag === "ActorFailed" ? [event.address] : []
      )
      assert.deepStrictEqual(failures, [stream])
    }).pipe(Effect.provide(runtime)))

  it.effect("completions are noticed after dispatch in the same tick, so a DAG edge costs 15 to 30 s", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const daemon = yield* connectDaemon(ownerId, "one", 1)
      yield* create(Array.from({ length: 50 }, (_, i) => ({
        key: `${i}`,
        name: `${i}`,
        dependsOn: i === 0 ? [] : [`${i - 1}`]
      })))
      for (let i = 0; i < 50; i++) yield* daemon.report(yield* daemon.nextTask, "completed")
      assert.strictEqual(yield* statusOf(), "idle")
      const events = yield* Stream.runCollect(log.readAll())
      // Virtual time has not moved at all: no timer is on the way of an edge.
      assert.deepStrictEqual([...new Set(events.map(({ at }) => at))], [0])
    }).pipe(Effect.provide(runtime)))

  it.effect("restart of the server in the middle of anything", () =>
    Effect.gen(function*() {
      const steps: ReadonlyArray<NewStep> = [
        { key: "a", name: "a" },
        { key: "b", name: "b" },
        { name: "c", dependsOn: ["a", "b"], orderIndex: 1 }
      ]
      // A crash at the n-th append of a life: before it reaches the log, or after it and before anybody hears of it.
      for (const isAfter of [false, true]) {
        for (let append = 1; append <= 15; append++) {
          yield* liveAndDie(steps, append, isAfter).pipe(Effect.provide(ControlledLog.layer))
        }
      }
    }))

  it.effect("two servers on one database", () =>
    Effect.gen(function*() {
      const one = yield* Layer.build(server("one"))
      const two = yield* Layer.build(server("two"))
      const sent = yield* Effect.gen(function*() {
        const daemon = yield* connectDaemon(ownerId, "one")
        yield* create([{ name: "a" }])
        return { daemon, task: yield* daemon.nextTask }
      }).pipe(Effect.provide(one))
      const there = yield* Effect.provide(connectDaemon(ownerId, "two"), two)
      yield* ask({ _tag: "SetMemory", key: "k", value: "two" }).pipe(Effect.provide(two))
      yield* ask({ _tag: "AddSteps", steps: [{ name: "b" }] }).pipe(Effect.provide(two))
      assert.strictEqual((yield* there.nextTask).taskName, "Greet: b")
      // The first server decides on what it knows, cannot append that, and does nothing about it.
      const refused = yield* Effect.flip(
        ask({ _tag: "AddSteps", steps: [{ name: "never" }] }).pipe(Effect.provide(one))
      )
      assert.strictEqual(refused._tag, "ActorUnavailable")
      assert.strictEqual(yield* Queue.size(sent.daemon.frames), 0)
      yield* TestClock.adjust("1 second")
      yield* sent.daemon.report(sent.task, "completed").pipe(Effect.provide(one))
      const handedOver = (yield* eventsOf()).filter(({ _tag }) => _tag === "TaskHandedOver")
      assert.strictEqual(handedOver.length, 2)
      assert.notInclude((yield* eventsOf()).flatMap((event) => event._tag === "StepAdded" ? [event.name] : []), "never")
    }).pipe(Effect.provide(ControlledLog.layer)))

  it("a title with `\"`, `` ` ``, `$()` or a newline is pasted into shell commands", () => {
    const title = "\"; `touch x` $(touch y)\n' && touch z #"
    const run = scenario({ title })
    run.plan(step("a"))
    run.end("a", "completed")
    const { plan } = run.last("TaskCreated")
    const quoted = `pr_title='"; \`touch x\` $(touch y) '\\'' && touch z #'`
    assert.include(plan, quoted)
    assert.match(run.state.prBranch!, /^makima\/directive-[a-z0-9-]+$/)
    assert.include(plan, run.state.prBranch!)
  })

  it.effect("an update of the same thing twice is two updates", () =>
    Effect.gen(function*() {
      const add: DirectiveCommand = { _tag: "AddSteps", steps: [{ name: "a" }] }
      const first = yield* Effect.gen(function*() {
        yield* ask({ _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" })
        const answers = yield* Effect.forEach([1, 2, 3], () => ask(add, directiveId, "key-1"), {
          concurrency: "unbounded"
        })
        for (const { answer } of answers) assert.deepStrictEqual(answer, answers[0]!.answer)
        return answers[0]!
      }).pipe(Effect.provide(server()))
      const again = yield* ask(add, directiveId, "key-1").pipe(Effect.provide(server()))
      assert.deepStrictEqual(again.answer, first.answer)
      assert.strictEqual((yield* tagsOf()).filter((tag) => tag === "StepAdded").length, 1)
    }).pipe(Effect.provide(ControlledLog.layer)))
})
