/** The hash chain of each stream: it is what `Chain.ts` makes of the events as they are read. */
import { Effect } from "effect"
import * as Chain from "../../events/Chain.ts"
import { EventLog, type RecordedEvent } from "../../events/EventLog.ts"
import { about, append, assert, type Case, facts, fenceOf, holds, names, numbered, read, together } from "./contract.ts"

/** The hashes that these events of a stream have to have, after others. */
const chained = (events: ReadonlyArray<RecordedEvent>, before = Chain.start): ReadonlyArray<Chain.Hash> =>
  events.map((event) => before = Chain.next(before, Chain.contentOf(event)))

const hashesOf = (events: ReadonlyArray<RecordedEvent>) => events.map(({ hash }) => hash)

export const chains: ReadonlyArray<Case> = [
  holds("chains the events of a stream from its first on", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("chain")
    assert.equal((yield* log.streamHead(stream)).hash, Chain.start)
    const recorded = yield* append(stream, 0, "a", "b", "c")
    assert.deepEqual(hashesOf(recorded), chained(recorded))
    assert.equal((yield* log.streamHead(stream)).hash, recorded[2]!.hash)
  }),

  holds("goes on with the chain whatever is expected", function*() {
    const stream = (yield* names)("chain")
    for (const expected of ["none", 1, "any", "exists", 4] as const) yield* append(stream, expected, `${expected}`)
    const events = yield* read(stream)
    assert.deepEqual(hashesOf(events), chained(events))
  }),

  holds("chains each stream for itself", function*() {
    const log = yield* EventLog
    const name = yield* names
    const parts = ["a", "b"].map((
      part
    ) => ({ stream: name(part), expected: 0, events: facts("same", "same") } as const))
    const recorded = yield* log.append(parts, about)
    assert.deepEqual(hashesOf(recorded), [...chained(recorded.slice(0, 2)), ...chained(recorded.slice(2))])
    assert.equal(new Set(hashesOf(recorded)).size, 4)
  }),

  holds("chains what is appended at once, refused appends in between", function*() {
    const log = yield* EventLog
    const name = yield* names
    yield* together(numbered("", 80), (value, i) =>
      log.append([
        { stream: name(`crowd-${i % 5}`), expected: i % 4 === 0 ? 99 : "any", events: facts(value, `${value}'`) },
        { stream: name("crowd"), expected: "any", events: facts(value) }
      ], about))
    for (const stream of [...numbered("crowd-", 5), "crowd"].map(name)) {
      const events = yield* read(stream)
      assert.ok(events.length > 5)
      assert.deepEqual(hashesOf(events), chained(events))
    }
  }),

  holds("gives hashes with an append that are read afterwards, also beside a refused one", function*() {
    const name = yield* names
    yield* append(name("there"), 0, "a")
    const results = yield* together(
      [0, 1, 2, 3],
      (i) => append(name(i % 2 === 0 ? "there" : `new-${i}`), "none", "b", "c")
    )
    for (const [i, result] of results.entries()) {
      if (i % 2 === 0) assert.equal(result._tag, "Failure")
      else assert.deepEqual(result._tag === "Success" && result.success, yield* read(name(`new-${i}`)))
    }
  }),

  holds("covers the stream, the time, the causes and every character of an event", function*() {
    const log = yield* EventLog
    const name = yield* names
    const put = (stream: string, value: string, cause: object, at = about.at) =>
      Effect.map(
        log.append([{ stream: name(stream), expected: "none", events: facts(value) }], { at, ...cause }),
        ([event]) => event!.hash
      )
    const hashes = yield* Effect.all([
      put("1", "a", {}),
      put("2", "a", {}),
      put("3", "b", {}),
      put("4", "a", { commandId: "x" }),
      put("5", "a", { correlationId: "x" }),
      put("6", "a", { causationId: "x" }),
      put("7", "a", {}, about.at + 1)
    ])
    assert.equal(new Set(hashes).size, hashes.length)
  }),

  holds("chains texts of every kind", function*() {
    const stream = (yield* names)("texts")
    const recorded = yield* append(stream, 0, "", "\0", "\ud800", "日本", "x".repeat(100_000), "\u2028\"\\")
    assert.deepEqual(hashesOf(yield* read(stream)), chained(recorded))
  }),

  holds("leaves the chain as it is where an append is refused", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("refused")
    const [epoch] = yield* log.claim([stream], "one")
    yield* append(stream, 0, "a")
    const before = yield* log.streamHead(stream)
    yield* Effect.flip(append(stream, 0, "never"))
    assert.deepEqual(yield* log.streamHead(stream), before)
    yield* log.claim([stream], "two")
    yield* fenceOf(log.append([{ stream, expected: 1, epoch: epoch!, events: facts("never") }], about))
    yield* append(stream, 1, "b")
    const events = yield* read(stream)
    assert.deepEqual(hashesOf(events), chained(events))
  }),

  holds("goes on with the chain of a stream whose beginning was taken away", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("truncated")
    const recorded = yield* append(stream, 0, "a", "b", "c")
    yield* log.truncate(stream, 3)
    yield* append(stream, 3, "d")
    const events = yield* read(stream)
    assert.deepEqual(hashesOf(events), chained(events, recorded[1]!.hash))
  })
]
