import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries, streamOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { daemonIdOf, OwnerId } from "../../src/events/Ids.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer))
)
const runtime = actors.pipe(Layer.provideMerge(ControlledLog.layer))
/** One life of a server on a log that outlives it. */
const server = Layer.fresh(actors)

const tagsOf = (stream: string) =>
  Effect.flatMap(EventLog, (log) => Stream.runCollect(Stream.map(log.read(stream), ({ event }) => event._tag)))
const history = tagsOf(streamOf(ownerId))
const settle = TestClock.adjust(0)

const create = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const directives = yield* Directives
  yield* directives.ask(directiveId, { _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" })
  yield* directives.ask(directiveId, { _tag: "AddSteps", steps: names.map((name) => ({ name })) })
  yield* directives.ask(directiveId, { _tag: "StartDirective" })
})

const resume = Effect.gen(function*() {
  yield* (yield* DaemonRegistries).resume(ownerId)
  yield* (yield* Directives).resume(directiveId)
})

describe("DaemonRegistryActor", () => {
  it.effect("lets a daemon that comes back within the grace period keep its tasks", () =>
    Effect.gen(function*() {
      const first = yield* connectDaemon(ownerId, "one")
      yield* create("a")
      const task = yield* first.nextTask
      yield* first.report(task, "running")
      yield* first.disconnect
      yield* TestClock.adjust("119 seconds")
      const again = yield* connectDaemon(ownerId, "one")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* Queue.size(again.frames), 0)
      assert.strictEqual((yield* again.report(task, "completed")).answer.status, "idle")
      assert.deepStrictEqual(yield* history, ["DaemonConnected", "DaemonSuspected", "DaemonConnected"])
    }).pipe(Effect.provide(runtime)))

  it.effect("gives a suspect daemon nothing new", () =>
    Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* daemon.disconnect
      yield* create("a")
      yield* settle
      assert.notInclude(yield* tagsOf(Directive.streamOf(directiveId)), "TaskHandedOver")
    }).pipe(Effect.provide(runtime)))

  it.effect("takes a lost daemon's tasks away even if the process died between recording the loss and doing so", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const daemon = yield* connectDaemon(ownerId, "one")
        yield* create("a")
        yield* daemon.report(yield* daemon.nextTask, "running")
        yield* daemon.disconnect
        const control = yield* ControlledLog.Control
        control.fails = (stream) => stream === Directive.streamOf(directiveId)
        yield* TestClock.adjust("2 minutes")
        control.fails = () => false
      }).pipe(Effect.provide(server))
      assert.include(yield* history, "DaemonLost")
      assert.notInclude(yield* tagsOf(Directive.streamOf(directiveId)), "HandOverFailed")
      // The directive failed over that, and its restart has a time.
      yield* TestClock.adjust("1 second")
      yield* Effect.gen(function*() {
        yield* resume
        const other = yield* connectDaemon(ownerId, "two")
        assert.strictEqual((yield* other.nextTask).handOver, 2)
      }).pipe(Effect.provide(server))
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("tells a directive again that could not hear of the loss", () =>
    Effect.gen(function*() {
      const registries = yield* DaemonRegistries
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create("a")
      yield* daemon.nextTask
      yield* daemon.disconnect
      const lose = TestClock.adjust("2 minutes")
      yield* ControlledLog.whileFailing((stream) => stream === Directive.streamOf(directiveId), lose)
      yield* TestClock.adjust("1 second")
      yield* registries.reconcile
      const other = yield* connectDaemon(ownerId, "two")
      assert.strictEqual((yield* other.nextTask).handOver, 2)
    }).pipe(Effect.provide(runtime)))

  it.effect("gives daemons their whole grace period after a restart, however long the server was away", () =>
    Effect.gen(function*() {
      const task = yield* Effect.gen(function*() {
        const daemon = yield* connectDaemon(ownerId, "one")
        yield* create("a")
        const task = yield* daemon.nextTask
        yield* daemon.report(task, "running")
        // The server stops in order, and sees the connection end.
        yield* daemon.disconnect
        return task
      }).pipe(Effect.provide(server))
      yield* TestClock.adjust("1 hour")
      yield* Effect.gen(function*() {
        yield* resume
        yield* TestClock.adjust("119 seconds")
        assert.notInclude(yield* history, "DaemonLost")
        const daemon = yield* connectDaemon(ownerId, "one")
        assert.strictEqual((yield* daemon.report(task, "completed")).answer.status, "idle")
      }).pipe(Effect.provide(server))
      yield* Effect.gen(function*() {
        yield* resume
        yield* TestClock.adjust("121 seconds")
        assert.include(yield* history, "DaemonLost")
      }).pipe(Effect.provide(server))
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("sets the log right about connections when it comes back from it", () =>
    Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      const stays = yield* connectDaemon(ownerId, "stays")
      const fails = (stream: string) => stream === streamOf(ownerId)
      yield* ControlledLog.whileFailing(fails, Effect.exit(daemon.disconnect))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* history).at(-1), "DaemonSuspected")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual((yield* history).slice(2), ["DaemonSuspected", "DaemonLost"])
      assert.deepStrictEqual((yield* Daemons).sessions(ownerId).map(({ daemonId }) => daemonId), [stays.daemonId])
    }).pipe(Effect.provide(runtime)))

  it.effect("keeps the daemons of each owner apart, also those with the same machine id", () =>
    Effect.gen(function*() {
      const bob = OwnerId.make("bob")
      const mine = yield* connectDaemon(ownerId, "same")
      const theirs = yield* connectDaemon(bob, "same")
      assert.notStrictEqual(mine.daemonId, theirs.daemonId)
      yield* theirs.disconnect
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* history, ["DaemonConnected"])
      assert.include(yield* tagsOf(streamOf(bob)), "DaemonLost")
      yield* create("a")
      assert.strictEqual((yield* mine.nextTask).taskName, "Greet: a")
      assert.deepStrictEqual((yield* Daemons).assignments(bob, daemonIdOf(bob, "same")), [])
    }).pipe(Effect.provide(runtime)))
})
