/** The supervisor's own stream: it is folded from a snapshot, and one that cannot be read stops nobody. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Option, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { SnapshotEvents } from "../../src/actors/internal/keeper.ts"
import * as Supervision from "../../src/actors/Supervision.ts"
import * as Rules from "../../src/actors/Supervisor.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import { codecFor } from "../../src/actors/SupervisorSnapshot.ts"
import * as Chain from "../../src/events/Chain.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { digestOf, layerMemory, Snapshots } from "../../src/events/Snapshots.ts"
import type { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import type { LoggedEvent } from "../../src/events/Unreadable.ts"
import { now } from "../support/directive.ts"
import { notebook, write } from "../support/notebook.ts"
import { layerWatched, Watch } from "../support/snapshots.ts"

const errors: Array<string> = []
const layerErrors = Logger.layer([
  Logger.make<unknown, void>(({ logLevel, message }) => {
    if (logLevel === "Error") errors.push(String(Array.isArray(message) ? message[0] : message))
  })
])

const recordedAt = (position: number, event: LoggedEvent["event"]): LoggedEvent => {
  const about = {
    position,
    stream: "supervisor-local",
    version: position,
    schemaVersion: 1,
    at: now,
    hash: Chain.start
  }
  return event._tag === "Unreadable" ? { ...about, event } : { ...about, event }
}

const parked = (address: string): SupervisorEvent => ({ _tag: "ActorParked", address, at: 5, cause: "Error: it broke" })
const unreadable = { _tag: "Unreadable", type: "ActorBlessed", data: "{}", reason: "it is not known here" } as const

const past = [parked("before"), unreadable, parked("after")].map((event, index) => recordedAt(index + 1, event))

const life = <A, E>(during: Effect.Effect<A, E, Supervisor | EventLog>) =>
  during.pipe(Effect.provide(Layer.fresh(Supervisor.layer)))

const ask = (address: string) =>
  Effect.gen(function*() {
    const supervisor = yield* Supervisor
    const ref = yield* supervisor.actor(address, notebook())
    return yield* ref.ask(write("a"))
  })

const isParked = (address: string) =>
  Effect.map(Effect.flip(ask(address)), (error) => error._tag === "ActorUnavailable" && error.parked !== undefined)

const told = (stream: string) =>
  Effect.flatMap(
    EventLog,
    (log) =>
      Stream.runCollect(
        Stream.map(log.read(stream), ({ event }) => "address" in event ? `${event._tag} ${event.address}` : event._tag)
      )
  )

describe("A supervisor whose stream cannot be read", () => {
  it.effect("says so once with the place and the reason, and goes on in another stream from what it can read", () =>
    Effect.gen(function*() {
      errors.length = 0
      yield* life(Effect.gen(function*() {
        assert.strictEqual((yield* ask("one")).answer, 1)
        // Who was parked before that event still is.
        assert.isTrue(yield* isParked("before"))
        yield* TestClock.adjust("1 minute")
      }))
      assert.deepStrictEqual(errors, [
        "The ActorBlessed (version 1) at position 2, supervisor-local@2, cannot be read: it is not known here; " +
        "what supervisor-local has from there on is not known to its supervisor"
      ])
      assert.deepStrictEqual(yield* told("supervisor-local~2"), ["ActorStarted one", "ActorStopped one"])
      const log = yield* EventLog
      assert.strictEqual((yield* log.streamHead("supervisor-local")).version, 3)
    }).pipe(Effect.provide(EventLog.layerMemoryWith(past)), Effect.provide(layerErrors)))

  it.effect("goes on in the same stream when it starts anew, also once the first can be read again", () =>
    Effect.gen(function*() {
      const resume = (address: string) => Effect.flatMap(Supervisor, (supervisor) => supervisor.resume(address))
      yield* life(resume("before"))
      const known = yield* life(Effect.gen(function*() {
        yield* ask("before")
        return yield* Effect.map(EventLog, (log) => log.readAll())
      }))
      assert.deepStrictEqual(yield* told("supervisor-local~2"), [
        "ActorResumed before",
        "ActorStarted before",
        "ActorStopped before"
      ])
      // Newer code knows what the event says.
      const all = yield* Stream.runCollect(known)
      const readable = all.map((logged): LoggedEvent =>
        logged.event._tag === "Unreadable"
          ? recordedAt(logged.position, { _tag: "ActorStarted", address: "x" })
          : logged
      )
      yield* life(Effect.gen(function*() {
        assert.strictEqual((yield* ask("before")).answer, 2)
        assert.isTrue(yield* isParked("after"))
        assert.deepStrictEqual((yield* told("supervisor-local")).slice(3), [])
      })).pipe(Effect.provide(EventLog.layerMemoryWith(readable)))
    }).pipe(Effect.provide(EventLog.layerMemoryWith(past)), Effect.provide(layerErrors)))

  it.effect("is asked by whoever looks for parked actors in the log", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const find = (address: string) => Supervision.parked(log, address)
      for (const address of ["before", "one", "parked"]) yield* log.claim([address], "local")
      assert.isTrue(Option.isNone(yield* find("nobody")))
      assert.isTrue(Option.isNone(yield* find("one")))
      assert.isTrue(Option.isNone(yield* find("before")))
      yield* log.append([{ stream: "supervisor-local~2", expected: "any", events: [parked("parked")] }], { at: now })
      assert.deepStrictEqual(yield* find("parked"), Option.some({ since: 5, cause: "Error: it broke" }))
      const resumed: SupervisorEvent = { _tag: "ActorResumed", address: "parked", at: 6 }
      yield* log.append([{ stream: "supervisor-local~2", expected: "any", events: [resumed] }], { at: now })
      assert.isTrue(Option.isNone(yield* find("parked")))
    }).pipe(Effect.provide(EventLog.layerMemoryWith(past))))
})

describe("A snapshot of a supervisor", () => {
  const policy = Rules.defaultPolicy
  const events: ReadonlyArray<SupervisorEvent> = [
    { _tag: "ActorStarted", address: "one" },
    { _tag: "ActorFailed", address: "one", cause: "it broke", at: now },
    { _tag: "ActorRestartScheduled", address: "one", at: now + 100 },
    { _tag: "ActorFailed", address: "two", cause: "the disk is full", at: now + 1, outage: true },
    { _tag: "ActorRestartScheduled", address: "two", at: now + 100 },
    { _tag: "ActorStarted", address: "one" },
    parked("three"),
    { _tag: "ActorParked", address: "four", at: now, cause: "Error: it broke" },
    { _tag: "ActorResumed", address: "three", at: now + 2 },
    { _tag: "ActorFailed", address: "one", cause: "it broke", at: now + policy.periodMillis + 1 }
  ]

  it("is the state, after every event, and what is folded on top of it too", () => {
    const codec = codecFor(policy)
    const copyOf = (state: Rules.State) => codec.decode([...codec.encode(state)].join(""))
    const plain = ({ failures, parked, scheduled, ...rest }: Rules.State) => ({
      ...rest,
      failures: Object.fromEntries(failures),
      parked: Object.fromEntries(parked),
      scheduled: Object.fromEntries(scheduled)
    })
    let state = Rules.empty(policy)
    let copy = copyOf(state)
    for (const event of events) {
      state = Rules.evolve(state, event)
      copy = copyOf(Rules.evolve(copy, event))
      assert.deepStrictEqual(plain(copy), plain(state))
    }
  })

  it("is of no use under another policy", () => {
    assert.strictEqual(codecFor(policy).schema, codecFor({ ...policy }).schema)
    assert.notStrictEqual(codecFor(policy).schema, codecFor({ ...policy, periodMillis: 1 }).schema)
  })

  it.effect("is taken on the way, and what is folded from it is what was", () =>
    Effect.gen(function*() {
      const { saved } = yield* Watch
      const snapshots = yield* Snapshots
      yield* life(Effect.gen(function*() {
        const supervisor = yield* Supervisor
        for (let start = 0; start < 10; start++) {
          yield* ask("one")
          yield* supervisor.stop("one")
          yield* TestClock.adjust(0)
        }
        yield* Queue.take(saved)
      }))
      const snapshot = Option.getOrThrow(yield* snapshots.load("supervisor-local"))
      assert.isAtLeast(snapshot.version, 10)
      // It says what nothing else does, so it is sure to be looked at.
      const state = Rules.evolve(codecFor(policy).decode(snapshot.state), parked("one"))
      const text = [...codecFor(policy).encode(state)].join("")
      yield* snapshots.save({ ...snapshot, state: text, digest: digestOf(text) })
      yield* life(Effect.gen(function*() {
        assert.isTrue(Option.isSome(yield* (yield* Supervisor).parked("one")))
      }))
      yield* snapshots.drop()
      yield* life(Effect.gen(function*() {
        assert.isTrue(Option.isNone(yield* (yield* Supervisor).parked("one")))
      }))
    }).pipe(
      Effect.provideService(SnapshotEvents, 10),
      Effect.provide(layerWatched.pipe(Layer.provideMerge(Layer.merge(EventLog.layerMemory, layerMemory))))
    ))
})
