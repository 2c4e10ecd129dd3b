/** An actor that has nothing to do leaves the memory, and nobody who sends it something notices. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { defaultPolicy } from "../../src/actors/DaemonRegistry.ts"
import { DaemonRegistries, streamOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { DirectiveCommand } from "../../src/actors/DirectiveCommand.ts"
import { PassivationMillis, Supervisor } from "../../src/actors/SupervisorActor.ts"
import * as DaemonSession from "../../src/daemon/DaemonSession.ts"
import type { ServerFrame } from "../../src/daemon/Protocol.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { OwnerId } from "../../src/events/Ids.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import * as PostgresSnapshots from "../../src/events/PostgresSnapshots.ts"
import { layerMemory, Snapshots } from "../../src/events/Snapshots.ts"
import type { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import { directiveId, ownerId, stream } from "../support/directive.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"
import { type Notebook, notebook, type NotebookCommand, textOf, write } from "../support/notebook.ts"
import { layerDatabase } from "../support/postgres.ts"
import { layerWatched, notesCodec, Watch } from "../support/snapshots.ts"

const memory = Layer.merge(EventLog.layerMemory, layerMemory)
const runtime = Supervisor.layer.pipe(Layer.provideMerge(layerWatched), Layer.provideMerge(memory))

const long = 600_000

/** A notebook that may rest when no reminder is due, how to ask it, and what it came up with each time. */
const open = Effect.fnUntraced(function*(address: string, options: Partial<Notebook> = {}) {
  const supervisor = yield* Supervisor
  const comings: Array<number> = []
  const goings: Array<number> = []
  const behaviour = notebook([], {
    snapshots: notesCodec,
    isIdle: () => true,
    recovered: ({ texts }) => {
      comings.push(texts.length)
      return []
    },
    passivated: ({ texts }) => void goings.push(texts.length),
    ...options
  })
  const ref = supervisor.actor(address, behaviour)
  return { comings, goings, ref, ask: (command: NotebookCommand) => Effect.flatMap(ref, (actor) => actor.ask(command)) }
})

const running = Effect.flatMap(Supervisor, (supervisor) => supervisor.running)

const history = Effect.flatMap(
  EventLog,
  (log) =>
    Stream.runCollect(Stream.map(log.read("supervisor-local"), ({ event }) => {
      const { _tag, ...fields } = event as SupervisorEvent
      return [_tag, ...Object.values(fields)].join(" ")
    }))
)

const settle = TestClock.adjust(0)

describe("An idle actor", () => {
  it.effect("is passivated after a while, and comes back once with what it knew", () =>
    Effect.gen(function*() {
      const one = yield* open("one")
      yield* one.ask(write("a", "b"))
      yield* TestClock.adjust(long - 1)
      assert.deepStrictEqual(yield* running, ["one"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* running, [])
      assert.deepStrictEqual(one.goings, [2])
      assert.deepStrictEqual(yield* history, ["ActorStarted one", "ActorStopped one passivated"])
      assert.strictEqual((yield* one.ask(write("c"))).answer, 3)
      assert.deepStrictEqual(one.comings, [0, 2])
      yield* settle
      assert.deepStrictEqual((yield* history).slice(2), ["ActorStarted one"])
    }).pipe(Effect.provide(runtime)))

  it.effect("leaves a snapshot behind, if there is something new in it", () =>
    Effect.gen(function*() {
      const watch = yield* Watch
      const snapshots = yield* Snapshots
      const [one, empty] = [yield* open("one"), yield* open("empty")]
      yield* one.ask(write("a", "b"))
      yield* empty.ask(write())
      yield* TestClock.adjust(long)
      assert.deepStrictEqual(watch.begun, [2])
      assert.strictEqual(Option.getOrThrow(yield* snapshots.load("one")).version, 2)
      yield* one.ask(write())
      yield* TestClock.adjust(long)
      assert.deepStrictEqual(yield* running, [])
      assert.deepStrictEqual(watch.begun, [2])
    }).pipe(Effect.provide(runtime)))

  it.effect("is one that nobody has asked anything for so long", () =>
    Effect.gen(function*() {
      const one = yield* open("one")
      for (let turn = 0; turn < 5; turn += 1) {
        yield* one.ask(write())
        yield* TestClock.adjust(long - 1)
      }
      assert.deepStrictEqual(one.comings, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* running, [])
    }).pipe(Effect.provide(runtime)))

  it.effect("is not one that waits for a time, or has something under way", () =>
    Effect.gen(function*() {
      const waiting = yield* open("waiting")
      const busy = yield* open("busy", { isIdle: ({ texts }) => texts.includes("done") })
      yield* waiting.ask({ _tag: "Remind", at: 5 * long })
      yield* busy.ask(write("begun"))
      yield* TestClock.adjust(4 * long)
      assert.deepStrictEqual(yield* running, ["waiting", "busy"])
      yield* busy.ask(write("done"))
      yield* TestClock.adjust(long)
      assert.deepStrictEqual(yield* running, ["waiting"])
      yield* TestClock.adjust(long)
      assert.deepStrictEqual(yield* running, [])
      assert.deepStrictEqual(waiting.goings, [1])
    }).pipe(Effect.provide(runtime)))

  it.effect("goes on when it is asked something while its snapshot is on the way", () =>
    Effect.gen(function*() {
      const watch = yield* Watch
      yield* watch.gate.close
      const one = yield* open("one")
      yield* one.ask(write("a"))
      yield* TestClock.adjust(long)
      assert.deepStrictEqual(watch.begun, [1])
      assert.strictEqual((yield* one.ask(write("b"))).answer, 2)
      yield* watch.gate.open
      yield* TestClock.adjust(long - 1)
      assert.deepStrictEqual(yield* running, ["one"])
      assert.deepStrictEqual(one.comings, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* running, [])
      assert.deepStrictEqual(watch.begun, [1, 2])
    }).pipe(Effect.provide(runtime)))

  it.effect("is started again by whoever still has its old address", () =>
    Effect.gen(function*() {
      const one = yield* open("one")
      const old = yield* one.ref
      yield* old.ask(write("a"))
      yield* TestClock.adjust(long)
      assert.deepStrictEqual(yield* running, [])
      assert.strictEqual((yield* old.ask(write("b"))).answer, 2)
      yield* TestClock.adjust(long)
      yield* old.tell(write("c"))
      assert.strictEqual((yield* old.ask(write())).answer, 3)
      assert.deepStrictEqual(one.comings, [0, 1, 2])
    }).pipe(Effect.provide(runtime)))

  it.effect("is passivated also where its snapshot cannot be saved", () =>
    Effect.gen(function*() {
      const watch = yield* Watch
      watch.works = false
      const one = yield* open("one")
      yield* one.ask(write("a"))
      yield* TestClock.adjust(long)
      assert.deepStrictEqual(yield* running, [])
      assert.strictEqual((yield* one.ask(write())).answer, 1)
    }).pipe(Effect.provide(runtime)))

  it.effect("gets every message once, whenever it comes", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const one = yield* open("one")
      const old = yield* one.ref
      const asked: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let turn = 0; turn < 300; turn += 1) {
        asked.push(yield* Effect.forkChild(turn % 2 === 0 ? old.ask(write(`${turn}`)) : one.ask(write(`${turn}`))))
        for (let yields = turn % 13; yields > 0; yields -= 1) yield* Effect.yieldNow
        if (turn % 3 === 0) yield* TestClock.adjust(turn % 5)
      }
      yield* Effect.forEach(asked, Fiber.join)
      const texts = yield* Stream.runCollect(Stream.map(log.read("one"), textOf))
      assert.deepStrictEqual(texts.map(Number).sort((a, b) => a - b), texts.map((_, index) => index))
      assert.strictEqual(texts.length, 300)
      assert.isAbove(one.comings.length, 20)
    }).pipe(Effect.provide(runtime), Effect.provide(Layer.succeed(PassivationMillis)(2))))
})

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer))
)

const ask = (command: DirectiveCommand, as = ownerId) =>
  Effect.flatMap(Directives, (directives) => directives.ask(directiveId, command, { ownerId: as }))

const suite = (name: string, layer: Layer.Layer<EventLog, unknown>) =>
  describe(`An idle directive, ${name}`, () => {
    it.effect("leaves nothing in memory, and goes on as if it had stayed", () =>
      Effect.gen(function*() {
        const directives = yield* Directives
        const supervisor = yield* Supervisor
        const daemon = yield* connectDaemon(ownerId, "one")
        const runs = Effect.map(supervisor.running, (addresses) => addresses.includes(stream))
        yield* ask({ _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" })
        yield* ask({ _tag: "AddSteps", steps: [{ name: "a" }] })
        yield* ask({ _tag: "StartDirective" })
        const first = yield* daemon.nextTask
        yield* TestClock.adjust(2 * long)
        assert.isTrue(yield* runs)
        assert.strictEqual(yield* directives.reconcile, 1)
        yield* daemon.report(first, "completed")
        assert.isDefined(directives.task(first.taskId))
        const { saved } = yield* Watch
        yield* TestClock.adjust(long)
        yield* Queue.take(saved)
        while (yield* runs) yield* Effect.yieldNow
        assert.isUndefined(directives.task(first.taskId))
        assert.strictEqual(yield* directives.reconcile, 0)
        assert.isFalse(yield* runs)
        const stranger = yield* Effect.flip(ask({ _tag: "PauseDirective" }, OwnerId.make("mallory")))
        assert.strictEqual(stranger._tag, "DirectiveNotFound")
        const { answer } = yield* ask({ _tag: "AddSteps", steps: [{ name: "b" }] })
        assert.strictEqual(answer.status, "active")
        assert.deepInclude(directives.task(first.taskId), { open: false })
        yield* daemon.report(yield* daemon.nextTask, "completed")
        assert.strictEqual((yield* ask({ _tag: "Wake" })).answer.status, "idle")
      }).pipe(Effect.provide(actors.pipe(Layer.provideMerge(layerWatched), Layer.provideMerge(layer)))))
  })

describe("The registry of an owner's daemons", () => {
  it.effect("leaves the memory when all are lost, and comes back with the next that connects", () =>
    Effect.gen(function*() {
      const { saved } = yield* Watch
      const registries = yield* DaemonRegistries
      const address = streamOf(ownerId)
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* TestClock.adjust(2 * long)
      assert.include(yield* running, address)
      yield* daemon.disconnect
      // It is suspect, and then lost.
      yield* TestClock.adjust(defaultPolicy.graceMillis)
      assert.include(yield* running, address)
      yield* TestClock.adjust(long)
      assert.notInclude(yield* running, address)
      assert.strictEqual(yield* Queue.take(saved), 3)
      yield* registries.reconcile
      assert.notInclude(yield* running, address)
      yield* connectDaemon(ownerId, "two")
      assert.include(yield* running, address)
      const log = yield* EventLog
      const told = yield* Stream.runCollect(Stream.map(log.read(address), ({ event }) => event._tag))
      assert.deepStrictEqual(told, ["DaemonConnected", "DaemonSuspected", "DaemonLost", "DaemonConnected"])
    }).pipe(Effect.provide(actors.pipe(Layer.provideMerge(layerWatched), Layer.provideMerge(memory)))))
})

describe("A daemon that comes back", () => {
  it.effect("is told that a task has ended long ago, also one of a directive that was passivated", () =>
    Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* ask({ _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" })
      yield* ask({ _tag: "AddSteps", steps: [{ name: "a" }] })
      yield* ask({ _tag: "StartDirective" })
      const task = yield* daemon.nextTask
      yield* daemon.report(task, "completed")
      yield* TestClock.adjust(long)
      assert.notInclude(yield* running, stream)
      const frames = yield* Queue.unbounded<ServerFrame>()
      const session = yield* DaemonSession.make({
        ownerId,
        machineId: "one",
        hostname: "one",
        maxConcurrentTasks: 1,
        send: (frame) => Effect.as(Queue.offer(frames, frame), true),
        close: Effect.void
      })
      yield* session.begin
      yield* session.receive({ type: "heartbeat", activeTasks: [task.taskId] })
      assert.strictEqual((yield* Queue.take(frames)).type, "authenticated")
      assert.deepStrictEqual(yield* Queue.take(frames), {
        type: "interruptTask",
        taskId: task.taskId,
        graceful: true
      })
    }).pipe(
      Effect.provideService(DaemonSession.TaskDirectory, () => Effect.succeedSome(directiveId)),
      Effect.provide(
        Layer.merge(actors, TaskOutput.layer).pipe(Layer.provideMerge(layerWatched), Layer.provideMerge(memory))
      )
    ))
})

suite("in memory", memory)
suite("in PostgreSQL", Layer.merge(PostgresEventLog.layer, PostgresSnapshots.layer).pipe(Layer.provide(layerDatabase)))
