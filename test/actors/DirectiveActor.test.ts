import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { NewStep } from "../../src/actors/DirectiveCommand.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog, EventLogError } from "../../src/events/EventLog.ts"
import { DirectiveId, OwnerId } from "../../src/events/Ids.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"

const ownerId = OwnerId.make("ada")
const directiveId = DirectiveId.make("3d0f2a52-6f6e-4c3a-9a59-0c2f4f9f6a01")
const stream = Directive.streamOf(directiveId)

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer))
)
const runtime = actors.pipe(Layer.provideMerge(EventLog.layerMemory))

const create = (steps: ReadonlyArray<NewStep> = []) =>
  Effect.gen(function*() {
    const directives = yield* Directives
    yield* directives.ask(directiveId, {
      _tag: "CreateDirective",
      ownerId,
      title: "Greet",
      goal: "Say hello",
      repositoryUrl: "/repository"
    })
    if (steps.length > 0) yield* directives.ask(directiveId, { _tag: "AddSteps", steps })
    yield* directives.ask(directiveId, { _tag: "StartDirective" })
  })

const events = Effect.gen(function*() {
  const log = yield* EventLog
  return yield* Stream.runCollect(Stream.map(log.read(stream), ({ event }) => event as DirectiveEvent))
})
const tags = Effect.map(events, (all) => all.map(({ _tag }) => _tag))

describe("DirectiveActor", () => {
  it.effect("goes from goal to pull request with one daemon", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create()
      const plan = yield* daemon.nextTask
      assert.strictEqual(plan.taskName, "Plan: Greet")
      yield* directives.ask(directiveId, {
        _tag: "AddSteps",
        steps: [
          { key: "a", name: "a" },
          { key: "b", name: "b" },
          { name: "c", dependsOn: ["a", "b"], orderIndex: 1 }
        ]
      })
      yield* daemon.report(plan, "completed")
      const a = yield* daemon.nextTask
      const b = yield* daemon.nextTask
      yield* daemon.report(a, "running")
      yield* daemon.report(a, "completed")
      yield* daemon.report(b, "completed")
      const c = yield* daemon.nextTask
      assert.strictEqual(c.continueFromTaskId, a.taskId)
      assert.include(c.plan, "git merge")
      yield* daemon.report(c, "completed")
      const pr = yield* daemon.nextTask
      assert.strictEqual(pr.taskName, "PR: Greet")
      yield* directives.ask(directiveId, { _tag: "UpdateDirective", prUrl: "https://example.invalid/1" })
      const { answer } = yield* daemon.report(pr, "completed")
      assert.deepInclude(answer, { status: "idle", prUrl: "https://example.invalid/1" })
      assert.strictEqual(yield* Queue.size(daemon.frames), 0)
    }).pipe(Effect.provide(runtime)))

  it.effect("hands over in the append that the report leads to", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const daemon = yield* connectDaemon(ownerId, "one", 1)
      yield* create([{ key: "a", name: "a" }, { name: "b", dependsOn: ["a"] }])
      const a = yield* daemon.nextTask
      yield* daemon.report(a, "running")
      const before = yield* log.head
      yield* daemon.report(a, "completed")
      const appended = yield* Stream.runCollect(log.readAll({ after: before }))
      assert.deepStrictEqual(appended.map(({ event }) => event._tag), [
        "TaskCompleted",
        "StepCompleted",
        "StepReadied",
        "TaskCreated",
        "TaskHandedOver"
      ])
      assert.strictEqual((yield* daemon.nextTask).taskName, "Greet: b")
    }).pipe(Effect.provide(runtime)))

  it.effect("keeps a task pending until a daemon comes that can take it", () =>
    Effect.gen(function*() {
      yield* create([{ name: "a" }])
      assert.notInclude(yield* tags, "TaskHandedOver")
      yield* connectDaemon(ownerId, "spectator", 0)
      yield* connectDaemon(OwnerId.make("somebody else"), "theirs")
      const daemon = yield* connectDaemon(ownerId, "one")
      assert.strictEqual((yield* daemon.nextTask).taskName, "Greet: a")
    }).pipe(Effect.provide(runtime)))

  it.effect("gives a task whose frame could not be sent to another daemon", () =>
    Effect.gen(function*() {
      const broken = yield* connectDaemon(ownerId, "broken")
      yield* broken.breakConnection
      yield* create([{ name: "a" }])
      const other = yield* connectDaemon(ownerId, "other")
      const a = yield* other.nextTask
      assert.strictEqual(a.handOver, 2)
      const failed = (yield* events).find((event) => event._tag === "HandOverFailed")
      assert.strictEqual(failed?.daemonId, broken.daemonId)
    }).pipe(Effect.provide(runtime)))

  it.effect("offers a task to the only daemon again once its exclusion has ended", () =>
    Effect.gen(function*() {
      const broken = yield* connectDaemon(ownerId, "one")
      yield* broken.breakConnection
      yield* create([{ name: "a" }])
      while (!(yield* tags).includes("HandOverFailed")) yield* Effect.yieldNow
      const same = yield* connectDaemon(ownerId, "one")
      assert.strictEqual(yield* Queue.size(same.frames), 0)
      yield* TestClock.adjust(Directive.defaultPolicy.exclusionMillis)
      assert.strictEqual((yield* same.nextTask).handOver, 2)
    }).pipe(Effect.provide(runtime)))

  it.effect("gives the tasks of a lost daemon to another, after the grace period and not before", () =>
    Effect.gen(function*() {
      const first = yield* connectDaemon(ownerId, "first")
      yield* create([{ name: "a" }])
      yield* first.report(yield* first.nextTask, "running")
      yield* first.disconnect
      const second = yield* connectDaemon(ownerId, "second")
      yield* TestClock.adjust("119 seconds")
      assert.strictEqual(yield* Queue.size(second.frames), 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* second.nextTask).handOver, 2)
    }).pipe(Effect.provide(runtime)))

  it.effect("goes on from the log when the process starts anew, and hands nothing over twice", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const here = actors.pipe(Layer.provide(Layer.succeed(EventLog, log)))
      const task = yield* Effect.gen(function*() {
        const daemon = yield* connectDaemon(ownerId, "one")
        yield* create([{ key: "a", name: "a" }, { name: "b", dependsOn: ["a"] }])
        return yield* daemon.nextTask
      }).pipe(Effect.provide(here))
      yield* Effect.gen(function*() {
        const directives = yield* Directives
        yield* directives.resume(directiveId)
        const daemon = yield* connectDaemon(ownerId, "one")
        yield* directives.ask(directiveId, { _tag: "Wake" })
        assert.strictEqual(yield* Queue.size(daemon.frames), 0)
        yield* daemon.report(task, "completed")
        assert.strictEqual((yield* daemon.nextTask).taskName, "Greet: b")
      }).pipe(Effect.provide(here))
      const handedOver = (yield* events).filter((event) => event._tag === "TaskHandedOver")
      assert.strictEqual(handedOver.length, 2)
    }).pipe(Effect.provide(EventLog.layerMemory)))

  it.effect("answers everybody when the log fails, and comes back from the log", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      const supervision = yield* EventLog
      yield* create([{ name: "a" }])
      failing = true
      const asked = yield* Effect.forEach(["x", "y"], (key) =>
        Effect.forkChild(Effect.exit(directives.ask(directiveId, { _tag: "SetMemory", key, value: "v" }))))
      const exits = yield* Effect.forEach(asked, Fiber.join)
      assert.isTrue(exits.every(Exit.isFailure))
      failing = false
      yield* TestClock.adjust("5 seconds")
      const { answer } = yield* directives.ask(directiveId, { _tag: "SetMemory", key: "x", value: "v" })
      assert.strictEqual(answer.status, "active")
      const own = yield* Stream.runCollect(supervision.read("supervisor-local"))
      assert.includeMembers(
        own.map(({ event }) =>
          event._tag
        ),
        ["ActorStarted", "ActorFailed", "ActorRestartScheduled"]
      )
    }).pipe(Effect.provide(actors.pipe(Layer.provideMerge(layerFailing)))))

  it.effect("shares the slots of an owner's daemon among its directives in turn", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      const daemon = yield* connectDaemon(ownerId, "one", 1)
      yield* create(Array.from({ length: 5 }, (_, index) => ({ name: `many ${index}` })))
      const other = DirectiveId.make("3d0f2a52-6f6e-4c3a-9a59-0c2f4f9f6a02")
      yield* directives.ask(other, { _tag: "CreateDirective", ownerId, title: "Other", goal: "One step" })
      yield* directives.ask(other, { _tag: "AddSteps", steps: [{ name: "one" }] })
      yield* directives.ask(other, { _tag: "StartDirective" })
      yield* daemon.report(yield* daemon.nextTask, "completed")
      assert.strictEqual((yield* daemon.nextTask).taskName, "Other: one")
    }).pipe(Effect.provide(runtime)))

  it.effect("does not know a directive of another owner", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      yield* create()
      const error = yield* Effect.flip(
        directives.ask(directiveId, { _tag: "PauseDirective" }, { ownerId: OwnerId.make("mallory") })
      )
      assert.strictEqual(error._tag, "DirectiveNotFound")
    }).pipe(Effect.provide(runtime)))
})

let failing = false
/** The memory log, whose appends to directives fail while the test says so. */
const layerFailing = Layer.effect(
  EventLog,
  Effect.map(EventLog, (log) =>
    EventLog.of({
      ...log,
      append: (appends, about) =>
        failing && appends.some((append) => append.stream === stream)
          ? Effect.fail(new EventLogError({ method: "append", cause: new Error("the disk is full") }))
          : log.append(appends, about)
    }))
).pipe(Layer.provide(EventLog.layerMemory))
