/** Two runtimes on one log in memory, in virtual time: who has an owner, and what becomes of whoever lost one. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Layer, Option, Queue, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Daemons } from "../../src/actors/Daemons.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import * as FencedLog from "../../src/actors/FencedLog.ts"
import { layerActors, resume } from "../../src/actors/layer.ts"
import { Leases } from "../../src/actors/Leases.ts"
import * as MemoryLeases from "../../src/actors/MemoryLeases.ts"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { NodeName, Supervisor } from "../../src/actors/SupervisorActor.ts"
import * as FunctionDaemon from "../../src/daemon/FunctionDaemon.ts"
import type { SpawnTask } from "../../src/daemon/Protocol.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { OwnerId } from "../../src/events/Ids.ts"
import { directiveId, ownerId, stream } from "../support/directive.ts"

/** A runtime that is called so, until it is closed. */
const start = Effect.fnUntraced(function*(table: MemoryLeases.LeaseTable, node: string) {
  const scope = yield* Scope.make()
  // A process that cannot write waits a little for that before it gives up.
  const stop = Effect.gen(function*() {
    const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void))
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(closing)
  })
  yield* Effect.addFinalizer(() => stop)
  const log = yield* EventLog
  const services = yield* Layer.buildWithScope(
    Layer.fresh(layerActors).pipe(
      Layer.provide(Layer.fresh(FencedLog.layer)),
      Layer.provideMerge(MemoryLeases.layer(table, { node })),
      Layer.provide(Layer.succeed(NodeName)(node)),
      Layer.provide(Layer.succeed(EventLog)(log))
    ),
    scope
  )
  return {
    services,
    leases: Context.get(services, Leases),
    /** What it leaves open ends with the runtime. */
    run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Scope.provide(Effect.provide(effect, services), scope),
    stop
  }
})

const bob = OwnerId.make("bob")

const ask = (command: Parameters<Directives["Service"]["ask"]>[1]) =>
  Directives.use((directives) => directives.ask(directiveId, command, { ownerId }))

const create = Effect.andThen(
  ask({ _tag: "CreateDirective", ownerId, title: "Export", goal: "Export invoices." }),
  Effect.andThen(
    ask({ _tag: "AddSteps", steps: [{ name: "first", orderIndex: 0 }, { name: "second", orderIndex: 1 }] }),
    ask({ _tag: "StartDirective" })
  )
)

/** A daemon of the owner whose tasks end when the test says so. */
const daemon = Effect.gen(function*() {
  const tasks = yield* Queue.unbounded<SpawnTask>()
  const ends = yield* Queue.unbounded<void>()
  yield* FunctionDaemon.connect(
    { ownerId, machineId: "machine", maxConcurrentTasks: 4 },
    (task) => Effect.andThen(Queue.offer(tasks, task), Queue.take(ends))
  )
  return { tasks, ends }
})

const live = (it: Effect.Effect<void, unknown, EventLog | Scope.Scope>) =>
  it.pipe(Effect.scoped, Effect.provide(EventLog.layerMemory))

const located = (leases: Context.Service.Shape<typeof Leases>, owner = ownerId) =>
  Effect.map(leases.locate(owner), (location) => location._tag === "Here" ? "here" : location.node)

describe("Leases in memory", () => {
  it.effect("give an owner to the first who wants it, and say to all others who that is", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      yield* a.leases.advertise("http://a")
      assert.strictEqual(yield* located(a.leases), "here")
      assert.deepStrictEqual(yield* b.leases.locate(ownerId), { _tag: "Elsewhere", node: "a", url: "http://a" })
      assert.deepStrictEqual(yield* b.leases.take([ownerId, bob]), new Set([bob]))
      assert.strictEqual(yield* located(a.leases, bob), "b")
    })))

  it.effect("start no actor of an owner that is elsewhere", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      yield* a.run(create)
      const refusal = yield* Effect.flip(b.run(ask({ _tag: "PauseDirective" })))
      assert.strictEqual(refusal._tag, "ActorUnavailable")
      assert.include(refusal.message, "a has it")
      // Whose it is not is told nothing of where it is.
      const stranger = Directives.use((directives) =>
        directives.ask(directiveId, { _tag: "PauseDirective" }, { ownerId: bob })
      )
      assert.strictEqual((yield* Effect.flip(b.run(stranger)))._tag, "DirectiveNotFound")
      // Nor can anybody make it anew.
      const theft = Directives.use((directives) =>
        directives.ask(directiveId, { _tag: "CreateDirective", ownerId: bob, title: "Mine", goal: "Mine." })
      )
      assert.strictEqual((yield* Effect.flip(b.run(theft)))._tag, "DirectiveExists")
      assert.strictEqual((yield* a.run(ask({ _tag: "PauseDirective" }))).answer.status, "paused")
      const log = yield* EventLog
      assert.strictEqual((yield* log.streamHead(stream)).owner, "a")
    })))

  it.effect("say of an actor that is elsewhere whether it is parked there", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      yield* a.run(create)
      const parkedAt = (process: typeof a) =>
        process.run(Directives.use((directives) => directives.parked(directiveId))).pipe(
          Effect.map(Option.map(({ cause }) => cause))
        )
      assert.deepStrictEqual(yield* parkedAt(b), Option.none())
      const log = yield* EventLog
      for (let time = 0; time <= defaultPolicy.restartsMax; time++) {
        // Somebody else writes, and the actor fails over it.
        yield* log.append([{ stream, expected: "any", events: [{ _tag: "MemoryRemoved", key: "key" }] }], { at: 0 })
        assert.strictEqual(
          (yield* Effect.flip(a.run(ask({ _tag: "UpdateDirective", title: `${time}` }))))._tag,
          "ActorUnavailable"
        )
        yield* TestClock.adjust("4 seconds")
      }
      assert.isTrue(Option.isSome(yield* parkedAt(a)))
      assert.deepStrictEqual(yield* parkedAt(b), yield* parkedAt(a))
      yield* a.run(ask({ _tag: "ResumeDirective" }))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* parkedAt(b), Option.none())
    })))

  it.effect("refuse a name that a living process has, and hand everything on to one that takes it up again", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const a = yield* start(table, "a")
      yield* a.run(create)
      const twin = yield* Effect.flip(start(table, "a"))
      assert.include(twin.message, "called a")
      MemoryLeases.kill(table, "a")
      const again = yield* start(table, "a")
      assert.strictEqual(yield* located(again.leases), "here")
      assert.strictEqual((yield* again.run(ask({ _tag: "PauseDirective" }))).answer.status, "paused")
      yield* TestClock.adjust("1 second")
      assert.include(yield* a.leases.lost, "another server has taken over")
    })))

  it.effect("go to another process soon after theirs has stopped", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      yield* a.run(create)
      yield* a.stop
      assert.deepStrictEqual(yield* Stream.runHead(b.leases.takenOver), Option.some([ownerId]))
      assert.strictEqual(yield* located(b.leases), "here")
    })))

  it.effect("go to another process some seconds after theirs was killed, and not before it can be dead", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      yield* a.run(create)
      yield* TestClock.adjust("10 seconds")
      MemoryLeases.wayOf(table, "a").closeUnsafe()
      MemoryLeases.kill(table, "a")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* located(b.leases), "a")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* located(b.leases), "here")
    })))

  it.effect("leave a frozen process nothing: it sends nothing and writes nothing, and the run ends elsewhere", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      const log = yield* EventLog
      yield* a.run(create)
      const atA = yield* a.run(daemon)
      yield* Queue.take(atA.tasks)
      yield* TestClock.adjust("10 seconds")

      MemoryLeases.wayOf(table, "a").closeUnsafe()
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(a.leases.isValid())
      assert.strictEqual(yield* located(b.leases), "a", "it may still come back")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* located(b.leases), "here")
      const atB = yield* b.run(daemon)
      yield* b.run(resume([{ directiveId, ownerId }]))

      // It wakes up, and what it was about to do comes to nothing.
      const before = yield* log.head
      yield* Queue.offer(atA.ends, undefined)
      const daemons = Context.get(a.services, Daemons)
      const [session] = daemons.sessions(ownerId)
      const sent = yield* Effect.forkChild(
        daemons.send(ownerId, session!.daemonId, { type: "error", code: "code", message: "" })
      )
      const command = yield* Effect.forkChild(Effect.result(a.run(ask({ _tag: "ArchiveDirective" }))))
      MemoryLeases.wayOf(table, "a").openUnsafe()
      yield* TestClock.adjust("2 seconds")
      assert.include(yield* a.leases.lost, "another server has taken over")
      assert.isTrue(Result.isFailure(yield* Fiber.join(command)))
      assert.isUndefined(sent.pollUnsafe())
      assert.strictEqual(yield* log.head, before)
      yield* a.stop
      assert.strictEqual(yield* log.head, before)

      // The daemon of the other process does not know the task, says so, and gets it.
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Queue.take(atB.tasks)).taskName, "Export: first")
      yield* Queue.offer(atB.ends, undefined)
      assert.strictEqual((yield* Queue.take(atB.tasks)).taskName, "Export: second")
      yield* Queue.offer(atB.ends, undefined)
      yield* Stream.runHead(Stream.filter(log.subscribe(), ({ event }) => event._tag === "DirectiveIdled"))
      assert.lengthOf(yield* Queue.clear(atA.tasks), 0)
      const tags = yield* Stream.runCollect(Stream.map(log.readAll(), ({ event }) => event._tag))
      assert.notInclude(tags, "ActorTakenOver")
    })))

  it.effect("take nobody for dead by what was asked before nobody could renew", () =>
    live(Effect.gen(function*() {
      const gate = Latch.makeUnsafe(true)
      const table = MemoryLeases.makeTable((node, method, call) =>
        node === "a" && method === "takeOver" ? Effect.andThen(gate.await, call) : call
      )
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      yield* b.leases.take([ownerId])
      yield* TestClock.adjust("20 seconds")
      gate.closeUnsafe()
      yield* TestClock.adjust("1 second")
      MemoryLeases.wayOf(table, "b").closeUnsafe()
      yield* TestClock.adjust("30 seconds")
      gate.openUnsafe()
      MemoryLeases.wayOf(table, "b").openUnsafe()
      yield* TestClock.adjust("20 seconds")
      assert.isTrue(a.leases.isValid() && b.leases.isValid())
      assert.deepStrictEqual([yield* located(a.leases), yield* located(b.leases)], ["b", "here"])
    })))

  it.effect("let no late claim of who lost an owner come between", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      const log = yield* EventLog
      yield* a.run(create)
      yield* TestClock.adjust("10 seconds")
      MemoryLeases.wayOf(table, "a").closeUnsafe()
      MemoryLeases.kill(table, "a")
      yield* TestClock.adjust("5 seconds")
      yield* b.run(resume([{ directiveId, ownerId }]))
      const before = yield* log.streamHead(stream)
      assert.strictEqual(before.owner, "b")
      const { fence } = a.leases
      const refusal = yield* Effect.flip(log.claim([stream], "a", fence))
      assert.deepInclude(refusal, { _tag: "StreamFenced", stream: fence!.stream, epoch: fence!.epoch })
      assert.deepStrictEqual(yield* log.streamHead(stream), before)
      assert.strictEqual((yield* b.run(ask({ _tag: "PauseDirective" }))).answer.status, "paused")
    })))

  it.effect("have an actor go on where its owner is, whoever has claimed its stream", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const a = yield* start(table, "a")
      const log = yield* EventLog
      yield* a.run(create)
      yield* log.claim([stream], "somebody")
      assert.strictEqual((yield* Effect.flip(a.run(ask({ _tag: "PauseDirective" }))))._tag, "ActorUnavailable")
      yield* TestClock.adjust("2 seconds")
      assert.notInclude(yield* a.run(Supervisor.use(({ running }) => running)), stream)
      yield* a.run(Directives.use(({ reconcile }) => reconcile))
      assert.include(yield* a.run(Supervisor.use(({ running }) => running)), stream)
      assert.strictEqual((yield* a.run(ask({ _tag: "PauseDirective" }))).answer.status, "paused")
    })))

  it.effect("take nobody for dead because nobody could renew", () =>
    live(Effect.gen(function*() {
      const table = MemoryLeases.makeTable()
      const [a, b] = [yield* start(table, "a"), yield* start(table, "b")]
      yield* a.run(create)
      yield* TestClock.adjust("20 seconds")
      for (const node of ["a", "b"]) MemoryLeases.wayOf(table, node).closeUnsafe()
      yield* TestClock.adjust("30 seconds")
      const command = yield* Effect.forkChild(Effect.result(a.run(ask({ _tag: "PauseDirective" }))))
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(Result.isFailure(yield* Fiber.join(command)), "who asks meanwhile is told")
      MemoryLeases.wayOf(table, "b").openUnsafe()
      yield* TestClock.adjust("7 seconds")
      MemoryLeases.wayOf(table, "a").openUnsafe()
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* located(b.leases), "a")
      assert.isTrue(a.leases.isValid())
      assert.strictEqual((yield* a.run(ask({ _tag: "PauseDirective" }))).answer.status, "paused")
    })))
})
