/** Reads of one stream and of all, both ways, and what is known of a stream without reading it. */
import { Effect, Stream } from "effect"
import { EventLog } from "../../events/EventLog.ts"
import {
  about,
  append,
  assert,
  type Case,
  facts,
  head,
  holds,
  holdsAtLarge,
  names,
  numbered,
  read,
  readAll,
  readValues,
  valuesOf
} from "./contract.ts"

/** Five events in a stream, and five of others between them. */
const mixed = Effect.gen(function*() {
  const name = yield* names
  const start = yield* head
  for (const [i, value] of ["a", "b", "c", "d", "e"].entries()) {
    yield* append(name("read"), i, value)
    yield* append(name(`other-${i % 2}`), "any", value.toUpperCase())
  }
  return { stream: name("read"), start }
})

export const reading: ReadonlyArray<Case> = [
  holds("reads a stream after a version", function*() {
    const { stream } = yield* mixed
    const of = (after: number) => readValues(stream, { after })
    assert.deepEqual(yield* of(0), ["a", "b", "c", "d", "e"])
    assert.deepEqual(yield* of(3), ["d", "e"])
    assert.deepEqual(yield* of(5), [])
    assert.deepEqual(yield* of(99_000_000_000), [])
    assert.deepEqual(yield* of(-1), ["a", "b", "c", "d", "e"])
  }),

  holds("reads a stream before a version", function*() {
    const { stream } = yield* mixed
    const of = (before: number) => readValues(stream, { before })
    assert.deepEqual(yield* of(3), ["a", "b"])
    assert.deepEqual(yield* of(1), [])
    assert.deepEqual(yield* of(0), [])
    assert.deepEqual(yield* of(99_000_000_000), ["a", "b", "c", "d", "e"])
    assert.deepEqual(yield* readValues(stream, { after: 1, before: 4 }), ["b", "c"])
    assert.deepEqual(yield* readValues(stream, { after: 4, before: 2 }), [])
  }),

  holds("reads at most so many events of a stream", function*() {
    const { stream } = yield* mixed
    assert.deepEqual(yield* readValues(stream, { limit: 2 }), ["a", "b"])
    assert.deepEqual(yield* readValues(stream, { after: 2, limit: 2 }), ["c", "d"])
    assert.deepEqual(yield* readValues(stream, { limit: 0 }), [])
    assert.deepEqual(yield* readValues(stream, { limit: 99 }), ["a", "b", "c", "d", "e"])
  }),

  holds("reads a stream backward, newest first", function*() {
    const { stream } = yield* mixed
    const direction = "backward"
    assert.deepEqual(yield* readValues(stream, { direction }), ["e", "d", "c", "b", "a"])
    assert.deepEqual(yield* readValues(stream, { direction, limit: 1 }), ["e"])
    assert.deepEqual(yield* readValues(stream, { direction, before: 4, limit: 2 }), ["c", "b"])
    assert.deepEqual(yield* readValues(stream, { direction, after: 2, before: 5 }), ["d", "c"])
    assert.deepEqual(yield* readValues(stream, { direction, limit: 0 }), [])
  }),

  holds("reads nothing of a stream that nobody has heard of", function*() {
    const stream = (yield* names)("unknown")
    assert.deepEqual(yield* read(stream), [])
    assert.deepEqual(yield* read(stream, { direction: "backward", limit: 1 }), [])
  }),

  holds("reads all streams in the order of their positions, which have no gaps", function*() {
    const { start } = yield* mixed
    const all = yield* readAll({ after: start })
    assert.deepEqual(valuesOf(all), ["a", "A", "b", "B", "c", "C", "d", "D", "e", "E"])
    assert.deepEqual(all.map(({ position }) => position - start), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert.equal(yield* head, start + 10)
  }),

  holds("reads all streams from the first event on", function*() {
    const log = yield* EventLog
    yield* mixed
    const first = yield* Stream.runCollect(Stream.take(log.readAll(), 2))
    assert.deepEqual(yield* readAll({ limit: 2 }), first)
    assert.ok(first[0]!.position < first[1]!.position)
  }),

  holds("reads all streams between positions, and at most so many events", function*() {
    const { start } = yield* mixed
    const of = (options: { readonly after: number; readonly before?: number; readonly limit?: number }) =>
      Effect.map(readAll(options), valuesOf)
    assert.deepEqual(yield* of({ after: start + 7 }), ["D", "e", "E"])
    assert.deepEqual(yield* of({ after: start + 2, before: start + 5 }), ["b", "B"])
    assert.deepEqual(yield* of({ after: start + 2, limit: 3 }), ["b", "B", "c"])
    assert.deepEqual(yield* of({ after: start + 10 }), [])
    assert.deepEqual(yield* of({ after: start, limit: 0 }), [])
  }),

  holds("reads all streams backward, newest first", function*() {
    const { start } = yield* mixed
    const direction = "backward"
    const of = (before: number | undefined, limit: number) =>
      Effect.map(readAll({ direction, after: start, limit, ...(before !== undefined && { before }) }), valuesOf)
    assert.deepEqual(yield* of(undefined, 3), ["E", "e", "D"])
    assert.deepEqual(yield* of(start + 4, 99), ["b", "A", "a"])
    assert.deepEqual(yield* of(start + 1, 99), [])
  }),

  holdsAtLarge("reads across pages as within one, both ways", function*() {
    const stream = (yield* names)("long")
    const start = yield* head
    const values = numbered("", 2_500)
    yield* append(stream, 0, ...values)
    for (const limit of [999, 1_000, 1_001, 2_000, 2_500, 2_501]) {
      assert.deepEqual(yield* readValues(stream, { limit }), values.slice(0, limit))
      assert.deepEqual(
        yield* readValues(stream, { direction: "backward", limit }),
        values.toReversed().slice(0, limit)
      )
      const backward = yield* readAll({ direction: "backward", after: start, limit })
      assert.deepEqual(valuesOf(backward), values.toReversed().slice(0, limit))
    }
    assert.deepEqual(yield* readValues(stream, { after: 100, before: 2_400 }), values.slice(100, 2_399))
  }),

  holds("reads what is there when it is run, and again each time", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("again")
    const reading = Stream.runCollect(log.read(stream))
    assert.deepEqual(yield* reading, [])
    yield* append(stream, 0, "a")
    assert.deepEqual(valuesOf(yield* reading), ["a"])
    yield* append(stream, 1, "b")
    assert.deepEqual(valuesOf(yield* reading), ["a", "b"])
  }),

  holds("stops reading when enough has been read", function*() {
    const log = yield* EventLog
    const { start, stream } = yield* mixed
    assert.deepEqual(valuesOf(yield* Stream.runCollect(Stream.take(log.read(stream), 2))), ["a", "b"])
    const two = yield* Stream.runCollect(Stream.take(log.readAll({ after: start, direction: "backward" }), 2))
    assert.deepEqual(valuesOf(two), ["E", "e"])
  }),

  holds("says where a stream is without reading it", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("headed")
    const empty = yield* log.streamHead(stream)
    assert.deepEqual([empty.version, empty.epoch, empty.owner], [0, 0, undefined])
    const recorded = yield* append(stream, 0, "a", "b", "c")
    const { hash, version } = yield* log.streamHead(stream)
    assert.deepEqual([version, hash], [3, recorded[2]!.hash])
  }),

  holds("takes the beginning of a stream away for good, and nothing else", function*() {
    const log = yield* EventLog
    const { start, stream } = yield* mixed
    const kept = yield* read(stream, { after: 3 })
    assert.equal(yield* log.truncate(stream, 9), 0)
    assert.equal((yield* read(stream)).length, 5)
    assert.equal(yield* log.truncate(stream, 4), 3)
    assert.equal(yield* log.truncate(stream, 4), 0)
    assert.deepEqual(yield* read(stream), kept)
    assert.deepEqual(valuesOf(yield* readAll({ after: start })), ["A", "B", "C", "d", "D", "e", "E"])
    assert.equal(yield* head, start + 10)
    const [next] = yield* log.append([{ stream, expected: 5, events: facts("f") }], about)
    assert.deepEqual([next!.version, next!.position], [6, start + 11])
    assert.deepEqual(valuesOf(yield* read(stream, { direction: "backward" })), ["f", "e", "d"])
  })
]
