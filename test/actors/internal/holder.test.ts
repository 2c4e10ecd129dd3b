/** A process that holds leases, on a table whose answers the test gives. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { hold, type Table } from "../../../src/actors/internal/holder.ts"
import { defaultTimes, LeaseUnknown, type Location } from "../../../src/actors/Leases.ts"
import { OwnerId } from "../../../src/events/Ids.ts"

const [ada, bob] = ["ada", "bob"].map((name) => OwnerId.make(name)) as [OwnerId, OwnerId]
const away = Effect.fail(new LeaseUnknown({ because: "the connection broke" }))

/** A table in which nothing happens by itself, apart from what the test says. */
const holding = (table: Partial<Table>) =>
  hold(
    { node: "a", fence: { stream: "node-a", epoch: 1 } },
    {
      renew: Effect.succeed(true),
      takeOver: () => Effect.succeed([]),
      owners: Effect.succeed([]),
      advertise: () => Effect.void,
      take: (owners) => Effect.succeed(new Map(owners.map((owner): [OwnerId, Location] => [owner, { _tag: "Here" }]))),
      ...table
    },
    defaultTimes
  )

describe("A process that holds leases", () => {
  it.effect("goes on with what it took over although it never heard that it did", () =>
    Effect.gen(function*() {
      let isAnswered = true
      const leases = yield* holding({
        takeOver: () => isAnswered ? Effect.succeed([]) : away,
        owners: Effect.sync(() => isAnswered ? [ada, bob] : [])
      })
      yield* leases.take([ada])
      const taken = yield* Queue.unbounded<ReadonlyArray<OwnerId>>()
      yield* Effect.forkScoped(Stream.runForEach(leases.takenOver, (owners) => Queue.offer(taken, owners)))
      isAnswered = false
      yield* TestClock.adjust("1 second")
      isAnswered = true
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Queue.clear(taken), [[bob]])
    }))

  it.effect("goes on with what it never heard it took over, although somebody has asked for it meanwhile", () =>
    Effect.gen(function*() {
      let isAnswered = true
      const leases = yield* holding({
        takeOver: () => isAnswered ? Effect.succeed([]) : away,
        owners: Effect.sync(() => [ada, bob])
      })
      yield* leases.take([ada])
      const taken = yield* Queue.unbounded<ReadonlyArray<OwnerId>>()
      yield* Effect.forkScoped(Stream.runForEach(leases.takenOver, (owners) => Queue.offer(taken, owners)))
      isAnswered = false
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* leases.locate(bob), { _tag: "Here" })
      isAnswered = true
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Queue.clear(taken), [[bob]])
    }))

  it.effect("says how long the table has not answered", () =>
    Effect.gen(function*() {
      let isAway = false
      const { isValid, unansweredMillis } = yield* holding({
        renew: Effect.suspend(() => isAway ? away : Effect.succeed(true))
      })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(unansweredMillis(), 0)
      isAway = true
      yield* TestClock.adjust("1 minute")
      assert.isFalse(isValid())
      assert.strictEqual(unansweredMillis(), 60_000)
      isAway = false
      yield* TestClock.adjust("1 second")
      assert.isTrue(isValid())
    }))
})
