import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { taskOf } from "../../src/actors/DirectiveState.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import * as FunctionDaemon from "../../src/daemon/FunctionDaemon.ts"
import { spawnTask } from "../../src/daemon/spawnTask.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { daemonIdOf, type TaskId } from "../../src/events/Ids.ts"
import { directiveId, ownerId } from "../support/directive.ts"

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer, TaskOutput.layer))
)
/** One life of the host on a log that outlives it. */
const host = Layer.fresh(actors)

const options = { ownerId, machineId: "host", maxConcurrentTasks: 1 }
const settle = Effect.repeat(TestClock.adjust(0), { times: 5 })

const create = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const directives = yield* Directives
  yield* directives.ask(directiveId, { _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" })
  yield* directives.ask(directiveId, { _tag: "AddSteps", steps: names.map((name) => ({ name })) })
  yield* directives.ask(directiveId, { _tag: "StartDirective" })
})

const tags = Effect.flatMap(
  EventLog,
  (log) => Stream.runCollect(Stream.map(log.read(Directive.streamOf(directiveId)), ({ event }) => event._tag))
)

describe("FunctionDaemon", () => {
  it.effect("does one task after the other and keeps what each puts out", () =>
    Effect.gen(function*() {
      const output = yield* TaskOutput
      const done: Array<TaskId> = []
      yield* FunctionDaemon.connect(options, ({ taskId, taskName }, put) => {
        done.push(taskId)
        return put(`${taskName}\n`)
      })
      yield* create("a", "b")
      while ((yield* tags).at(-1) !== "DirectiveIdled") yield* Effect.yieldNow
      const outputs = yield* Effect.forEach(done, (taskId) => output.read(taskId))
      assert.deepStrictEqual(outputs, ["Greet: a\n", "Greet: b\n"])
    }).pipe(Effect.scoped, Effect.provide(actors), Effect.provide(EventLog.layerMemory)))

  it.effect("interrupts what it does when it is asked to, and when it is taken away", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      const started = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      yield* FunctionDaemon.connect(options, () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
        .pipe(Effect.provideService(Scope.Scope, scope))
      yield* create("a", "b")
      yield* Deferred.await(started)
      const { taskId } = (yield* Daemons).assignments(ownerId, daemonIdOf(ownerId, "host"))[0]!
      yield* directives.ask(directiveId, { _tag: "InterruptTask", taskId })
      yield* settle
      assert.include(yield* tags, "TaskInterrupted")
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual((yield* tags).filter((tag) => tag === "TaskInterrupted").length, 2)
    }).pipe(Effect.provide(actors), Effect.provide(EventLog.layerMemory)))

  it.effect("starts nothing again that is handed to it again, and says how it is", () =>
    Effect.gen(function*() {
      const daemons = yield* Daemons
      const log = yield* EventLog
      const end = yield* Deferred.make<void>()
      let starts = 0
      yield* FunctionDaemon.connect(options, () => {
        starts += 1
        return Deferred.await(end)
      })
      yield* create("a")
      yield* settle
      const [held] = daemons.assignments(ownerId, daemonIdOf(ownerId, "host"))
      const state = (yield* Stream.runCollect(Stream.map(log.read(Directive.streamOf(directiveId)), ({ event }) =>
        event)))
        .reduce((state, event) => Directive.evolve(state, event as DirectiveEvent), Directive.empty(""))
      const frame = spawnTask(directiveId, taskOf(state, held!.taskId)!, 1)
      yield* daemons.handOver(ownerId, daemonIdOf(ownerId, "host"), frame)
      yield* settle
      // It said that it has it.
      assert.strictEqual(
        daemons.assignment(ownerId, daemonIdOf(ownerId, "host"), held!.taskId)?.delivery._tag,
        "Acknowledged"
      )
      yield* Deferred.succeed(end, undefined)
      yield* settle
      yield* daemons.handOver(ownerId, daemonIdOf(ownerId, "host"), frame)
      yield* settle
      assert.strictEqual(starts, 1)
      assert.strictEqual((yield* tags).at(-1), "DirectiveIdled")
    }).pipe(Effect.scoped, Effect.provide(actors), Effect.provide(EventLog.layerMemory)))

  it.effect("starts again what it was doing when its host died", () =>
    Effect.gen(function*() {
      const control = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const daemon = yield* Scope.make()
        yield* FunctionDaemon.connect(options, () => Effect.andThen(Deferred.succeed(control, undefined), Effect.never))
          .pipe(Effect.provideService(Scope.Scope, daemon))
        yield* create("a")
        yield* Deferred.await(control)
        // The host dies here: nobody closes the daemon's scope, so nothing is reported.
      }).pipe(Effect.provide(host))
      yield* Effect.gen(function*() {
        yield* (yield* DaemonRegistries).resume(ownerId)
        yield* (yield* Directives).resume(directiveId)
        yield* FunctionDaemon.connect(options, () => Effect.void)
        // The daemon has said that it does not have the task, and the time from then on counts.
        yield* settle
        yield* TestClock.adjust(Directive.defaultPolicy.exclusionMillis)
        yield* settle
        assert.strictEqual((yield* tags).at(-1), "DirectiveIdled")
      }).pipe(Effect.scoped, Effect.provide(host))
    }).pipe(Effect.provide(EventLog.layerMemory)))
})
