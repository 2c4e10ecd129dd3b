/**
 * A claim that was given up, and that the store carries out much later: the process that sent it is shut out of a stream by
 * itself, and nobody else goes on with what is in there. Late claims in PostgreSQL are in `test/events/faults.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { NodeName, Supervisor } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { notebook, type NotebookCommand, textOf, write } from "../support/notebook.ts"

const node = "one"
const address = "notebook"
const behaviour = notebook()
const actor = Supervisor.use((supervisor) => supervisor.actor(address, behaviour))
const ask = (command: NotebookCommand) => Effect.flatMap(actor, (ref) => ref.ask(command))

/** Writes "reminded" so long from now, without a message. */
const remind = (millis: number) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => ask({ _tag: "Remind", at: now + millis }))

/** What the store makes of a claim that somebody sent long ago. */
const lateClaimOf = (owner: string) => EventLog.use((log) => log.claim([address], owner))

const notes = EventLog.use((log) => Stream.runCollect(Stream.map(log.read(address), textOf)))

const recorded = EventLog.use((log) => Stream.runCollect(Stream.map(log.read(`supervisor-${node}`), textOf)))

const isElsewhere = Supervisor.use((supervisor) => Effect.sync(() => supervisor.isElsewhere(address)))

const life = <A, E>(during: Effect.Effect<A, E, Supervisor | EventLog>) =>
  during.pipe(
    Effect.provide(Supervisor.layer.pipe(Layer.provideMerge(EventLog.layerMemory))),
    Effect.provideService(NodeName, node)
  )

describe("A claim that comes late", () => {
  it.effect("keeps no actor of the same process from going on, without a message", () =>
    life(Effect.gen(function*() {
      yield* remind(10_000)
      yield* lateClaimOf(node)
      yield* TestClock.adjust("9 seconds")
      assert.notInclude(yield* recorded, "ActorFailed", "until it has something to append, nothing is wrong")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual((yield* notes).slice(1), ["reminded"])
      assert.isFalse(yield* isElsewhere)
      assert.deepStrictEqual(yield* recorded, [
        "ActorStarted",
        "ActorFailed",
        "ActorRestartScheduled",
        "ActorStarted"
      ])
    })))

  it.effect("costs nothing of the restarts that an actor has", () =>
    life(Effect.gen(function*() {
      for (let claims = 0; claims <= defaultPolicy.restartsMax; claims++) {
        yield* remind(100)
        yield* lateClaimOf(node)
        yield* TestClock.adjust("6 seconds")
      }
      assert.notInclude(yield* recorded, "ActorParked")
      assert.lengthOf((yield* notes).filter((text) => text === "reminded"), defaultPolicy.restartsMax + 1)
    })))

  it.effect("of another process takes the stream over, where no leases say who has it", () =>
    life(Effect.gen(function*() {
      yield* remind(10_000)
      yield* lateClaimOf("two")
      yield* TestClock.adjust("1 minute")
      assert.notInclude(yield* notes, "reminded")
      assert.include(yield* recorded, "ActorTakenOver")
      assert.isTrue(yield* isElsewhere)
      assert.strictEqual((yield* ask(write("back"))).answer, 1)
      assert.isFalse(yield* isElsewhere)
    })))
})
