/** Epochs: who has lost a stream appends nothing to it any more, and hurts nobody by trying. */
import { Effect, Fiber } from "effect"
import { EventLog } from "../../events/EventLog.ts"
import {
  about,
  append,
  appendIn,
  assert,
  type Case,
  facts,
  fenceOf,
  head,
  holds,
  names,
  numbered,
  readValues,
  tagOf,
  together
} from "./contract.ts"

const claim = (stream: string, owner: string) =>
  EventLog.use((log) => Effect.map(log.claim([stream], owner), ([epoch]) => epoch!))

export const ownership: ReadonlyArray<Case> = [
  holds("begins a new epoch with each claim of a stream", function*() {
    const stream = (yield* names)("claimed")
    assert.deepEqual([yield* claim(stream, "one"), yield* claim(stream, "two"), yield* claim(stream, "one")], [1, 2, 3])
  }),

  holds("takes appends in the epoch that a stream is in", function*() {
    const stream = (yield* names)("owned")
    const epoch = yield* claim(stream, "one")
    yield* appendIn(stream, epoch, "a")
    yield* appendIn(stream, epoch, "b")
    assert.deepEqual(yield* readValues(stream), ["a", "b"])
  }),

  holds("refuses appends of an epoch that has ended, and says which it is in", function*() {
    const stream = (yield* names)("lost")
    const old = yield* claim(stream, "one")
    yield* appendIn(stream, old, "a")
    const current = yield* claim(stream, "two")
    assert.deepEqual(yield* fenceOf(appendIn(stream, old, "never")), { stream, epoch: old, current })
    yield* appendIn(stream, current, "b")
    assert.deepEqual(yield* readValues(stream), ["a", "b"])
  }),

  holds("refuses an epoch that has not begun", function*() {
    const stream = (yield* names)("ahead")
    assert.deepEqual(yield* fenceOf(appendIn(stream, 1, "never")), { stream, epoch: 1, current: 0 })
    yield* appendIn(stream, 0, "a")
    yield* claim(stream, "one")
    for (const epoch of [0, 2, -1, 1.5, 3_000_000_000]) {
      assert.deepEqual(yield* fenceOf(appendIn(stream, epoch, "never")), { stream, epoch, current: 1 })
    }
    assert.deepEqual(yield* readValues(stream), ["a"])
  }),

  holds("takes appends without an epoch from anybody", function*() {
    const stream = (yield* names)("open")
    yield* claim(stream, "one")
    yield* append(stream, 0, "a")
    yield* claim(stream, "two")
    yield* append(stream, 1, "b")
    assert.deepEqual(yield* readValues(stream), ["a", "b"])
  }),

  holds("takes a part without events for a condition of the others, and adds nothing to its stream", function*() {
    const log = yield* EventLog
    const name = yield* names
    const [stream, guard] = [name("guarded"), name("guard")]
    const epoch = yield* claim(guard, "one")
    const appendBehind = (version: number, ...values: ReadonlyArray<string>) =>
      log.append([
        { stream, expected: version, events: facts(...values) },
        { stream: guard, expected: "any", epoch, events: [] }
      ], about)
    assert.equal((yield* appendBehind(0, "a", "b")).length, 2)
    assert.deepEqual((yield* together(["c", "d"], (value, i) => appendBehind(2 + i, value))).map(tagOf), [
      "Success",
      "Success"
    ])
    const current = yield* claim(guard, "two")
    const start = yield* head
    assert.deepEqual(yield* fenceOf(appendBehind(4, "never")), { stream: guard, epoch, current })
    assert.equal(yield* head, start)
    assert.deepEqual(yield* readValues(stream), ["a", "b", "c", "d"])
    assert.deepEqual(yield* readValues(guard), [])
    assert.equal((yield* log.streamHead(guard)).version, 0)
  }),

  holds("has many appends behind one fence at once, beside others behind none and behind one that fell", function*() {
    const log = yield* EventLog
    const name = yield* names
    const fences = yield* log.claim([name("stands"), name("falls")], "one")
    yield* claim(name("falls"), "two")
    const results = yield* together(numbered("stream", 60), (stream, i) =>
      log.append([
        { stream: name(stream), expected: "none", events: facts(stream) },
        ...i % 3 === 0
          ? []
          : [{
            stream: name(i % 3 === 1 ? "stands" : "falls"),
            expected: "any" as const,
            epoch: fences[i % 3 - 1]!,
            events: []
          }]
      ], about))
    assert.deepEqual(results.map(tagOf), results.map((_, i) => i % 3 === 2 ? "StreamFenced" : "Success"))
    assert.deepEqual(yield* readValues(name("stream1")), ["stream1"])
    assert.deepEqual(yield* readValues(name("stream2")), [])
  }),

  holds("claims streams behind a fence only while that stands", function*() {
    const log = yield* EventLog
    const name = yield* names
    const streams = [name("x"), name("y")]
    const guard = name("fence")
    const epoch = yield* claim(guard, "one")
    assert.deepEqual(yield* log.claim(streams, "one", { stream: guard, epoch }), [1, 1])
    const current = yield* claim(guard, "two")
    const fallen = log.claim(streams, "one", { stream: guard, epoch })
    const results = yield* together([fallen, log.claim(streams, "two", { stream: guard, epoch: current })], (it) => it)
    assert.deepEqual(results.map(tagOf), ["StreamFenced", "Success"])
    assert.deepEqual(yield* fenceOf(fallen), { stream: guard, epoch, current })
    assert.deepEqual((yield* log.streamHead(streams[0]!)).owner, "two")
    assert.deepEqual((yield* log.streamHead(streams[1]!)).epoch, 2)
  }),

  holds("shows nothing of an append to several streams if one of them was lost", function*() {
    const log = yield* EventLog
    const name = yield* names
    const [kept, lost] = [name("kept"), name("lost")]
    const [first, second] = yield* log.claim([kept, lost], "one")
    yield* claim(lost, "two")
    const start = yield* head
    const fence = yield* fenceOf(log.append([
      { stream: kept, expected: 0, epoch: first!, events: facts("never") },
      { stream: lost, expected: 0, epoch: second!, events: facts("never") }
    ], about))
    assert.deepEqual(fence, { stream: lost, epoch: 1, current: 2 })
    assert.equal(yield* head, start)
    assert.deepEqual(yield* readValues(kept), [])
  }),

  holds("says of a stream that was lost and is elsewhere that it was lost", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("both")
    const epoch = yield* claim(stream, "one")
    yield* claim(stream, "two")
    const append = log.append([{ stream, expected: 7, epoch, events: facts("never") }], about)
    assert.deepEqual(yield* fenceOf(append), { stream, epoch: 1, current: 2 })
  }),

  holds("checks the epoch also where nothing is appended", function*() {
    const stream = (yield* names)("asked")
    const epoch = yield* claim(stream, "one")
    assert.deepEqual(yield* appendIn(stream, epoch), [])
    yield* claim(stream, "two")
    assert.deepEqual(yield* fenceOf(appendIn(stream, epoch)), { stream, epoch: 1, current: 2 })
  }),

  holds("hurts no other append with one that is refused for its epoch", function*() {
    const name = yield* names
    const streams = numbered("neighbour-", 60).map(name)
    yield* Effect.forEach(streams, (stream) => claim(stream, "one"), { concurrency: "unbounded" })
    yield* Effect.forEach(streams.filter((_, i) => i % 3 === 0), (stream) => claim(stream, "two"))
    const results = yield* together(streams, (stream) => appendIn(stream, 1, "a"))
    assert.deepEqual(results.map(tagOf), streams.map((_, i) => i % 3 === 0 ? "StreamFenced" : "Success"))
    for (const [i, stream] of streams.entries()) assert.equal((yield* readValues(stream)).length, i % 3 === 0 ? 0 : 1)
  }),

  holds("claims several streams at once, each in an epoch of its own", function*() {
    const log = yield* EventLog
    const name = yield* names
    const [a, b, c] = [name("a"), name("b"), name("c")]
    yield* claim(b, "one")
    assert.deepEqual(yield* log.claim([a, b, c], "two"), [1, 2, 1])
    assert.deepEqual(yield* log.claim([], "two"), [])
    assert.deepEqual(yield* log.claim([c, a, c], "three"), [2, 2, 3])
    assert.deepEqual(yield* fenceOf(appendIn(c, 2, "never")), { stream: c, epoch: 2, current: 3 })
  }),

  holds("says who has a stream, and in which epoch", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("asked")
    yield* claim(stream, "one")
    yield* append(stream, 0, "a")
    yield* claim(stream, "日本")
    const { epoch, owner, version } = yield* log.streamHead(stream)
    assert.deepEqual({ epoch, owner, version }, { epoch: 2, owner: "日本", version: 1 })
  }),

  holds("changes nothing but the epoch with a claim", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("same")
    yield* append(stream, 0, "a")
    const [start, before] = [yield* head, yield* log.streamHead(stream)]
    yield* claim(stream, "one")
    assert.equal(yield* head, start)
    assert.deepEqual(yield* log.streamHead(stream), { ...before, epoch: 1, owner: "one" })
    assert.deepEqual(yield* readValues(stream), ["a"])
  }),

  holds("gives all that claim at once epochs of their own, and the last the stream", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("contested")
    const owners = numbered("owner-", 40)
    const epochs = yield* Effect.forEach(owners, (owner) => claim(stream, owner), { concurrency: "unbounded" })
    assert.deepEqual(epochs.toSorted((a, b) => a - b), owners.map((_, i) => i + 1))
    assert.equal((yield* log.streamHead(stream)).owner, owners[epochs.indexOf(40)])
    const results = yield* together(epochs, (epoch) => appendIn(stream, epoch, `${epoch}`))
    assert.deepEqual(yield* readValues(stream), ["40"])
    assert.equal(results.filter((result) => tagOf(result) === "StreamFenced").length, 39)
  }),

  holds("shows to who has claimed a stream all that earlier owners will ever have appended", function*() {
    const name = yield* names
    for (const stream of numbered("handed-over-", 10).map(name)) {
      const old = yield* claim(stream, "one")
      const writing = yield* Effect.forEach(
        numbered("", 20),
        (value) => Effect.forkScoped(Effect.result(appendIn(stream, old, value)), { startImmediately: true })
      )
      yield* claim(stream, "two")
      const seen = yield* readValues(stream)
      const results = yield* Effect.forEach(writing, Fiber.join)
      const acknowledged = numbered("", 20).filter((_, i) => tagOf(results[i]!) === "Success")
      assert.deepEqual(seen.toSorted(), acknowledged.toSorted())
      assert.deepEqual(yield* readValues(stream), seen)
    }
  }),

  holds("refuses to claim what can be no stream", function*() {
    const log = yield* EventLog
    const name = yield* names
    const results = yield* together(
      [[name("\0")], [name("x".repeat(2_000))], [name("\ud800")]],
      (streams) => log.claim(streams, "one")
    )
    assert.deepEqual(results.map(tagOf), ["EventLogError", "EventLogError", "EventLogError"])
    assert.equal((yield* Effect.flip(log.claim([name("a")], "\0")))._tag, "EventLogError")
  })
]
