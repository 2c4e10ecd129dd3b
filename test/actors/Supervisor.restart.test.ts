/**
 * Goal: what a supervisor has recorded holds for the process that comes after it on the same log. Method: several lives of a
 * supervisor, one after the other, with actors that fail. Whole directives are not here: see `Supervisor.load.long.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Leases } from "../../src/actors/Leases.ts"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { NodeName, Supervisor } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import type { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import { notebook, type NotebookCommand, write } from "../support/notebook.ts"
import { layerDatabase } from "../support/postgres.ts"

/** A life of a process: what it is ends with it, the log does not. */
const life = <A, E>(during: Effect.Effect<A, E, Supervisor | EventLog>, node = "local") =>
  during.pipe(Effect.provide(Layer.fresh(Supervisor.layer)), Effect.provideService(NodeName, node))

const address = "one"
const recoveries: Array<number> = []
const behaviour = notebook([], {
  recovered: ({ texts }) => {
    recoveries.push(texts.length)
    return []
  }
})
const actor = Effect.flatMap(Supervisor, (supervisor) => supervisor.actor(address, behaviour))
const ask = (command: NotebookCommand) => Effect.flatMap(actor, (ref) => ref.ask(command))

const restart = Effect.gen(function*() {
  const supervisor = yield* Supervisor
  yield* supervisor.restartScheduled("on", () => supervisor.actor(address, behaviour))
})

const history = Effect.flatMap(
  EventLog,
  (log) => Stream.runCollect(Stream.map(log.read("supervisor-local"), ({ event }) => event as SupervisorEvent))
)
const count = (tag: SupervisorEvent["_tag"]) =>
  Effect.map(history, (events) => events.filter(({ _tag }) => _tag === tag).length)

/** Waits until so many events of a kind are recorded, without time going on. */
const recorded = (tag: SupervisorEvent["_tag"], times: number) =>
  Effect.repeat(Effect.andThen(Effect.yieldNow, count(tag)), { until: (found) => found === times })

/** Lets time go on until the restart that is scheduled, and no further: a period has an end. */
const atItsTime = Effect.gen(function*() {
  const last = (yield* history).findLast(({ _tag }) => _tag === "ActorRestartScheduled")
  if (last?._tag === "ActorRestartScheduled") yield* TestClock.setTime(last.at)
})

/** Breaks the actor, and waits until it runs again. */
const failOnce = Effect.gen(function*() {
  const scheduled = yield* count("ActorRestartScheduled")
  yield* Effect.flip(ask({ _tag: "BreakDeciding" }))
  yield* recorded("ActorRestartScheduled", scheduled + 1)
  yield* atItsTime
  yield* Effect.repeat(Effect.andThen(Effect.yieldNow, history), {
    until: (events) => events.at(-1)!._tag === "ActorStarted"
  })
})

const failUntilParked = Effect.gen(function*() {
  const parked = yield* count("ActorParked")
  for (let restarts = yield* budgetLeft; restarts > 0; restarts--) yield* failOnce
  yield* Effect.flip(ask({ _tag: "BreakDeciding" }))
  yield* recorded("ActorParked", parked + 1)
})

/** All of it happens within a period. */
const budgetLeft = Effect.map(history, (events) => {
  const sinceResumed = events.slice(events.findLastIndex(({ _tag }) => _tag === "ActorResumed") + 1)
  return defaultPolicy.restartsMax - sinceResumed.filter(({ _tag }) => _tag === "ActorFailed").length
})

const suite = (name: string, log: Layer.Layer<EventLog, unknown>) =>
  describe(`A supervisor that starts anew, ${name}`, () => {
    it.effect("goes on counting failures where the one before it stopped", () =>
      Effect.gen(function*() {
        yield* life(Effect.gen(function*() {
          yield* ask(write("a"))
          for (let failures = 0; failures < 3; failures++) yield* failOnce
        }))
        yield* life(Effect.gen(function*() {
          assert.strictEqual((yield* ask(write("b"))).answer, 2)
          for (let failures = 3; failures < defaultPolicy.restartsMax; failures++) yield* failOnce
          assert.strictEqual(yield* count("ActorParked"), 0)
          yield* Effect.flip(ask({ _tag: "BreakDeciding" }))
          yield* recorded("ActorParked", 1)
        }))
        assert.strictEqual(yield* count("ActorFailed"), defaultPolicy.restartsMax + 1)
      }).pipe(Effect.provide(log)))

    it.effect("gives a new budget once the period is over", () =>
      Effect.gen(function*() {
        yield* life(Effect.gen(function*() {
          for (let failures = 0; failures < defaultPolicy.restartsMax; failures++) yield* failOnce
        }))
        yield* TestClock.adjust(defaultPolicy.periodMillis)
        yield* life(failOnce)
        assert.strictEqual(yield* count("ActorParked"), 0)
      }).pipe(Effect.provide(log)))

    it.effect("leaves a parked actor parked for as long as nobody resumes it, and resumes it for good", () =>
      Effect.gen(function*() {
        const parked = Effect.flatMap(Supervisor, (supervisor) => supervisor.parked(address))
        yield* life(failUntilParked)
        const since = yield* life(Effect.gen(function*() {
          const refusal = yield* Effect.flip(ask(write("a")))
          assert.strictEqual(
            refusal._tag === "ActorUnavailable" && refusal.parked?.cause,
            "it has a defect; the server's log says which"
          )
          return Option.getOrThrow(yield* parked).since
        }))
        yield* TestClock.adjust("1 day")
        yield* life(Effect.gen(function*() {
          assert.strictEqual(Option.getOrThrow(yield* parked).since, since)
          assert.isTrue(yield* (yield* Supervisor).resume(address))
        }))
        yield* life(Effect.gen(function*() {
          assert.isTrue(Option.isNone(yield* parked))
          assert.strictEqual((yield* ask(write("a"))).answer, 1)
          yield* failUntilParked
        }))
        yield* life(Effect.gen(function*() {
          assert.isTrue(Option.isSome(yield* parked))
          assert.strictEqual(yield* count("ActorParked"), 2)
        }))
      }).pipe(Effect.provide(log)))

    it.effect("restarts an actor that waited for it, at its time and once", () =>
      Effect.gen(function*() {
        yield* life(Effect.gen(function*() {
          yield* ask(write("a"))
          yield* Effect.flip(ask({ _tag: "BreakDeciding" }))
          yield* recorded("ActorRestartScheduled", 1)
        }))
        recoveries.length = 0
        // Somebody else has other actors.
        yield* life(
          Effect.flatMap(Supervisor, (supervisor) => supervisor.restartScheduled("tw", () => Effect.die("two")))
        )
        yield* life(Effect.gen(function*() {
          yield* restart
          const asked = yield* Effect.forkChild(ask(write("b")))
          assert.deepStrictEqual(recoveries, [])
          yield* atItsTime
          assert.strictEqual((yield* Fiber.join(asked)).answer, 2)
          yield* recorded("ActorStarted", 2)
        }))
        yield* life(restart)
        assert.deepStrictEqual(recoveries, [1])
      }).pipe(Effect.provide(log)))

    it.effect("leaves an actor alone whose restart another process has seen to", () =>
      Effect.gen(function*() {
        yield* life(Effect.gen(function*() {
          yield* ask(write("a"))
          yield* Effect.flip(ask({ _tag: "BreakDeciding" }))
          yield* recorded("ActorRestartScheduled", 1)
        }))
        yield* life(ask(write("b")), "other")
        recoveries.length = 0
        yield* life(restart)
        assert.deepStrictEqual(recoveries, [])
      }).pipe(Effect.provide(log)))

    it.effect("takes over from another process that an actor is parked, and that it was resumed", () =>
      Effect.gen(function*() {
        const shared = { ...(yield* Leases), fence: { stream: "node", epoch: 1 } }
        const isParked = Effect.flatMap(
          Effect.exit(ask(write())),
          () => Effect.flatMap(Supervisor, (supervisor) => Effect.map(supervisor.parked(address), Option.isSome))
        )
        const resume = Effect.flatMap(Supervisor, (supervisor) => supervisor.resume(address))
        const on = <A, E>(node: string, during: Effect.Effect<A, E, Supervisor | EventLog>) =>
          life(during, node).pipe(Effect.provideService(Leases, shared))
        yield* on("local", failUntilParked)
        assert.isTrue(yield* on("other", isParked))
        assert.isTrue(yield* on("other", isParked))
        yield* on(
          "other",
          Effect.gen(function*() {
            assert.isTrue(yield* resume)
            assert.strictEqual((yield* ask(write("a"))).answer, 1)
          })
        )
        assert.isFalse(yield* on("other", isParked))
        // The one that parked it first learns of that when it is its turn again.
        assert.isFalse(yield* on("local", isParked))
        assert.strictEqual(yield* on("third", Effect.map(ask(write("b")), ({ answer }) => answer)), 2)
      }).pipe(Effect.provide(log)))
  })

suite("in memory", EventLog.layerMemory)
suite("in PostgreSQL", PostgresEventLog.layer.pipe(Layer.provide(layerDatabase)))
