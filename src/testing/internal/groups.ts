/** Appends to several streams, and many appends at once. */
import { Effect, Fiber, Stream } from "effect"
import { EventLog } from "../../events/EventLog.ts"
import {
  about,
  append,
  assert,
  type Case,
  conflictOf,
  facts,
  head,
  holds,
  holdsAtLarge,
  names,
  numbered,
  read,
  readAll,
  readValues,
  tagOf,
  together,
  valuesOf
} from "./contract.ts"

export const groups: ReadonlyArray<Case> = [
  holds("appends to several streams at once", function*() {
    const log = yield* EventLog
    const name = yield* names
    yield* append(name("2"), 0, "before")
    const recorded = yield* log.append([
      { stream: name("1"), expected: "none", events: facts("a", "b") },
      { stream: name("2"), expected: 1, events: facts("c") },
      { stream: name("3"), expected: "any", events: [] }
    ], about)
    assert.deepEqual(valuesOf(recorded), ["a", "b", "c"])
    assert.deepEqual(recorded.map(({ stream, version }) => [stream, version]), [
      [name("1"), 1],
      [name("1"), 2],
      [name("2"), 2]
    ])
    assert.deepEqual(yield* readValues(name("1")), ["a", "b"])
    assert.deepEqual(yield* readValues(name("2")), ["before", "c"])
  }),

  holds("writes to no stream if one of them is elsewhere, wherever it stands in the append", function*() {
    const log = yield* EventLog
    const name = yield* names
    const start = yield* head
    for (const wrong of [0, 1, 2]) {
      const parts = numbered("part-", 3).map((part, i) => (
        { stream: name(part), expected: i === wrong ? 4 : 0, events: facts("never") }
      ))
      const conflict = yield* conflictOf(log.append(parts, about))
      assert.deepEqual(conflict, { stream: name(`part-${wrong}`), expected: 4, actual: 0 })
    }
    assert.equal(yield* head, start)
    for (const part of numbered("part-", 3)) assert.deepEqual(yield* readValues(name(part)), [])
  }),

  holds("names the first of several streams that are elsewhere", function*() {
    const log = yield* EventLog
    const name = yield* names
    const parts = ["b", "a"].map((
      part
    ) => ({ stream: name(part), expected: "exists", events: facts("never") } as const))
    const conflict = yield* conflictOf(log.append(parts, about))
    assert.deepEqual(conflict, { stream: name("b"), expected: "exists", actual: 0 })
  }),

  holds("hurts no other append with a conflict", function*() {
    const name = yield* names
    const streams = numbered("neighbour-", 60).map(name)
    const results = yield* together(streams, (stream, i) => append(stream, i % 3 === 0 ? 7 : 0, "a"))
    assert.deepEqual(results.map(tagOf), streams.map((_, i) => i % 3 === 0 ? "VersionConflict" : "Success"))
    const lengths = yield* Effect.forEach(streams, (stream) => Effect.map(readValues(stream), ({ length }) => length))
    assert.deepEqual(lengths, streams.map((_, i) => i % 3 === 0 ? 0 : 1))
  }),

  holds("refuses alone what no log takes", function*() {
    const log = yield* EventLog
    const name = yield* names
    const put = (stream: string, cause = {}, at = 1) =>
      log.append([{ stream: name(stream), expected: "any", events: facts("a") }], { at, ...cause })
    const twice = { stream: name("twice"), expected: "any", events: facts("a") } as const
    const start = yield* head
    const results = yield* together([
      put("good-1"),
      log.append([twice, twice], about),
      put("bad\0"),
      put("bad\ud800"),
      put("bad".repeat(1000)),
      put("bad", { commandId: "\0" }),
      put("bad", { correlationId: "\udfff" }),
      put("bad", { causationId: "\0" }),
      put("bad", {}, 1.5),
      put("good-2")
    ], (effect) => effect)
    assert.deepEqual(results.map(tagOf), ["Success", ...Array<string>(8).fill("EventLogError"), "Success"])
    assert.equal(yield* head, start + 2)
  }),

  holds("lets exactly one of many win a version", function*() {
    const stream = (yield* names)("race")
    const results = yield* together(numbered("racer-", 50), (racer) => append(stream, 0, racer))
    assert.equal(results.filter(({ _tag }) => _tag === "Success").length, 1)
    assert.equal((yield* readValues(stream)).length, 1)
  }),

  holds("lets one of many win each of several streams, or none", function*() {
    const log = yield* EventLog
    const name = yield* names
    const [left, right] = [name("left"), name("right")]
    const results = yield* together(numbered("racer-", 40), (racer, i) => {
      const parts = [left, right].map((stream) => ({ stream, expected: "none", events: facts(racer) } as const))
      return log.append(i % 2 === 0 ? parts : parts.toReversed(), about)
    })
    assert.equal(results.filter(({ _tag }) => _tag === "Success").length, 1)
    assert.equal((yield* readValues(left)).length, 1)
    assert.deepEqual(yield* readValues(left), yield* readValues(right))
  }),

  holds("numbers the events of a stream without gaps, and keeps each append in one piece", function*() {
    const log = yield* EventLog
    const name = yield* names
    yield* together(numbered("", 100), (value) =>
      log.append([
        { stream: name("crowd"), expected: "any", events: facts(value, `${value}'`) },
        { stream: name(`crowd-${Number(value) % 7}`), expected: "any", events: facts(value) }
      ], about))
    const crowd = yield* read(name("crowd"))
    assert.deepEqual(crowd.map(({ version }) => version), numbered("", 200).map((n) => Number(n) + 1))
    const values = valuesOf(crowd)
    for (let i = 0; i < 200; i += 2) assert.equal(values[i + 1], `${values[i]}'`)
    const odd = values.filter((value) => !value.endsWith("'")).map(Number).sort((a, b) => a - b)
    assert.deepEqual(odd, numbered("", 100).map(Number))
  }),

  holds("lets appends build on each other that wait together", function*() {
    const name = yield* names
    const stream = name("built")
    // Each expects what the one before it leaves behind; they are begun in order and nobody waits in between.
    const fibers = yield* Effect.forEach(
      numbered("", 30),
      (value, i) => Effect.forkScoped(append(stream, i, value), { startImmediately: true })
    )
    yield* Effect.forEach(fibers, Fiber.join)
    assert.deepEqual(yield* readValues(stream), numbered("", 30))
  }),

  holds("gives positions that grow in the order of the commits", function*() {
    const name = yield* names
    const start = yield* head
    yield* together(numbered("writer-", 8), (writer) =>
      Effect.gen(function*() {
        let last = start
        for (let i = 0; i < 20; i++) {
          const before = yield* head
          const [recorded] = yield* append(name(writer), i, `${i}`)
          // What was there when the append began comes before it, and so does what this writer appended before.
          assert.ok(recorded!.position > before && recorded!.position > last)
          last = recorded!.position
        }
      }))
    const all = yield* readAll({ after: start })
    assert.deepEqual(all.map(({ position }) => position), numbered("", 160).map((n) => start + 1 + Number(n)))
  }),

  holds("shows an append to every read that begins after its answer", function*() {
    const log = yield* EventLog
    const name = yield* names
    yield* together(numbered("seen-", 20), (stream) =>
      Effect.gen(function*() {
        const [recorded] = yield* append(name(stream), 0, "a")
        assert.ok((yield* log.head) >= recorded!.position)
        assert.deepEqual(yield* readValues(name(stream)), ["a"])
        const all = yield* Stream.runCollect(log.readAll({ after: recorded!.position - 1, limit: 1 }))
        assert.deepEqual(all, [recorded])
      }))
  }),

  holds("settles every append, and appends all or nothing of those that nobody waits for any more", function*() {
    const log = yield* EventLog
    const name = yield* names
    const streams = numbered("settled-", 100).map(name)
    const fibers = yield* Effect.forEach(streams, (stream) =>
      Effect.forkScoped(log.append([
        { stream, expected: 0, events: facts("a", "b") },
        { stream: `${stream}-too`, expected: 0, events: facts("c") }
      ], about)))
    yield* Effect.forEach(fibers.filter((_, i) => i % 2 === 0), Fiber.interrupt, { concurrency: "unbounded" })
    const exits = yield* Effect.forEach(fibers, Fiber.await)
    for (const [i, stream] of streams.entries()) {
      if (i % 2 === 1) assert.equal(exits[i]!._tag, "Success")
      const lengths = [(yield* readValues(stream)).length, (yield* readValues(`${stream}-too`)).length]
      assert.ok(`${lengths}` === "2,1" || (i % 2 === 0 && `${lengths}` === "0,0"))
    }
  }),

  holdsAtLarge("answers all of more appends than wait for a place at once", function*() {
    const name = yield* names
    const start = yield* head
    const results = yield* together(
      numbered("", 5_000),
      (value) => append(name(`many-${Number(value) % 50}`), "any", value)
    )
    assert.ok(results.every(({ _tag }) => _tag === "Success"))
    assert.equal(yield* head, start + 5_000)
    for (const stream of numbered("many-", 50)) assert.equal((yield* read(name(stream))).length, 100)
  })
]
