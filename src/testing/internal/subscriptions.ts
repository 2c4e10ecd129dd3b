/** Subscriptions: each event once, in order, none left out, whenever they begin and whoever writes. */
import { Deferred, Effect, Fiber, Queue, Stream } from "effect"
import { EventLog } from "../../events/EventLog.ts"
import type { LoggedEvent } from "../../events/Unreadable.ts"
import {
  about,
  append,
  assert,
  type Case,
  facts,
  head,
  holds,
  names,
  numbered,
  readAll,
  valueOf,
  valuesOf
} from "./contract.ts"

const follow = Effect.fnUntraced(function*(after: number | "now", count: number) {
  const log = yield* EventLog
  return yield* Effect.forkScoped(Stream.runCollect(Stream.take(log.subscribe({ after }), count)), {
    startImmediately: true
  })
})

const writers = 8
const each = 25
const written = writers * each * 2

/** Many writers at once, two events an append. */
const writeAtOnce = (name: (stream: string) => string) =>
  Effect.forEach(
    numbered("writer-", writers),
    (writer) => Effect.forEach(numbered("", each), (value, i) => append(name(writer), i * 2, value, `${value}'`)),
    {
      concurrency: "unbounded",
      discard: true
    }
  )

export const subscriptions: ReadonlyArray<Case> = [
  holds("gives a subscriber the past, then the present", function*() {
    const log = yield* EventLog
    const name = yield* names
    const start = yield* head
    yield* append(name("followed"), 0, "a", "b")
    const past = yield* Deferred.make<void>()
    const follower = yield* log.subscribe({ after: start }).pipe(
      Stream.tap((event) => valueOf(event) === "b" ? Deferred.succeed(past, undefined) : Effect.void),
      Stream.take(4),
      Stream.runCollect,
      Effect.forkScoped
    )
    yield* Deferred.await(past)
    yield* append(name("followed"), 2, "c")
    yield* append(name("followed-too"), 0, "d")
    assert.deepEqual(valuesOf(yield* Fiber.join(follower)), ["a", "b", "c", "d"])
  }),

  holds("begins a subscription at the first event of the log", function*() {
    const log = yield* EventLog
    yield* append((yield* names)("begun"), 0, "a", "b", "c")
    const all = yield* readAll()
    assert.deepEqual(yield* Stream.runCollect(Stream.take(log.subscribe(), all.length)), all)
    assert.deepEqual(yield* Fiber.join(yield* follow(0, all.length)), all)
  }),

  holds("begins a subscription after any position", function*() {
    const name = yield* names
    const start = yield* head
    yield* append(name("begun"), 0, "a", "b", "c")
    for (const [i, expected] of [["a", "b", "c"], ["b", "c"], ["c"]].entries()) {
      assert.deepEqual(valuesOf(yield* Fiber.join(yield* follow(start + i, 3 - i))), expected)
    }
    const waiting = yield* follow(start + 3, 1)
    yield* append(name("begun"), 3, "d")
    assert.deepEqual(valuesOf(yield* Fiber.join(waiting)), ["d"])
  }),

  holds("begins a subscription now: with nothing that was there, and all that comes", function*() {
    const log = yield* EventLog
    const name = yield* names
    yield* append(name("now"), 0, "before")
    const start = yield* head
    const first = yield* Deferred.make<LoggedEvent>()
    const follower = yield* log.subscribe({ after: "now" }).pipe(
      Stream.tap((event) => Deferred.succeed(first, event)),
      Stream.take(20),
      Stream.runCollect,
      Effect.forkScoped
    )
    // When it begins is not told, so there are events until it has seen one, and then those that count.
    yield* Effect.whileLoop({
      while: () => !Deferred.isDoneUnsafe(first),
      body: () => append(name("ticks"), "any", "tick"),
      step: () => {}
    })
    yield* Effect.forEach(numbered("", 20), (value) => append(name("now"), "any", value))
    const seen = yield* Fiber.join(follower)
    const from = seen[0]!.position
    assert.ok(from > start)
    assert.deepEqual(seen, yield* readAll({ after: from - 1, limit: 20 }))
  }),

  holds("gives each subscriber each event once and in order while many write", function*() {
    const name = yield* names
    const start = yield* head
    const followers = yield* Effect.forEach(numbered("", 3), () => follow(start, written))
    yield* writeAtOnce(name)
    const expected = yield* readAll({ after: start })
    assert.equal(expected.length, written)
    for (const follower of followers) assert.deepEqual(yield* Fiber.join(follower), expected)
  }),

  holds("leaves nothing out for subscribers that begin while many write", function*() {
    const name = yield* names
    const start = yield* head
    const writing = yield* Effect.forkScoped(writeAtOnce(name))
    const followers = yield* Effect.forEach(numbered("", 5), () =>
      Effect.gen(function*() {
        const from = yield* head
        return { from, fiber: yield* follow(from, written - (from - start)) }
      }))
    yield* Fiber.join(writing)
    for (const { fiber, from } of followers) assert.deepEqual(yield* Fiber.join(fiber), yield* readAll({ after: from }))
  }),

  holds("goes on after the last position that was seen, with nothing twice and nothing left out", function*() {
    const log = yield* EventLog
    const name = yield* names
    const start = yield* head
    const writing = yield* Effect.forkScoped(writeAtOnce(name))
    const seen: Array<LoggedEvent> = []
    while (seen.length < written) {
      const count = Math.min(37, written - seen.length)
      const after = seen.at(-1)?.position ?? start
      seen.push(...(yield* Stream.runCollect(Stream.take(log.subscribe({ after }), count))))
    }
    yield* Fiber.join(writing)
    assert.deepEqual(seen, yield* readAll({ after: start }))
  }),

  holds("waits for a slow subscriber with nothing, and leaves nothing out for it", function*() {
    const log = yield* EventLog
    const name = yield* names
    const start = yield* head
    const turns = yield* Queue.unbounded<void>()
    const slow = yield* log.subscribe({ after: start }).pipe(
      Stream.tap(() => Queue.take(turns)),
      Stream.take(written),
      Stream.runCollect,
      Effect.forkScoped
    )
    yield* writeAtOnce(name)
    const expected = yield* readAll({ after: start })
    yield* Queue.offerAll(turns, Array<void>(written).fill(undefined))
    assert.deepEqual(yield* Fiber.join(slow), expected)
  }),

  holds("goes on for others when a subscriber leaves", function*() {
    const name = yield* names
    const start = yield* head
    const leaving = yield* follow(start, 99)
    const staying = yield* follow(start, 3)
    yield* append(name("left"), 0, "a")
    yield* Fiber.interrupt(leaving)
    yield* append(name("left"), 1, "b", "c")
    assert.deepEqual(valuesOf(yield* Fiber.join(staying)), ["a", "b", "c"])
  }),

  holds("gives the events of an append to several streams in their order, with nothing in between", function*() {
    const log = yield* EventLog
    const name = yield* names
    const start = yield* head
    const follower = yield* follow(start, 120)
    yield* Effect.forEach(numbered("", 20), (value) =>
      log.append(
        ["x", "y", "z"].map((part) => (
          { stream: name(part), expected: "any", events: facts(`${value}${part}`, `${value}${part}'`) } as const
        )),
        about
      ), { concurrency: "unbounded", discard: true })
    const values = valuesOf(yield* Fiber.join(follower))
    for (let i = 0; i < 120; i += 6) {
      const value = values[i]!.slice(0, -1)
      assert.deepEqual(values.slice(i, i + 6), ["x", "x'", "y", "y'", "z", "z'"].map((part) => `${value}${part}`))
    }
  })
]
