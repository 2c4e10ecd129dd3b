/** What events and streams may hold: every text, of any size. */
import { Effect, Fiber, Stream } from "effect"
import { DirectiveEvent } from "../../events/DirectiveEvent.ts"
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

const givesBack = (name: string, ...texts: ReadonlyArray<string>): Case =>
  holds(`gives back ${name} as it was`, function*() {
    const stream = (yield* names)("texts")
    const recorded = yield* append(stream, 0, ...texts)
    assert.deepEqual(valuesOf(recorded), texts)
    assert.deepEqual(yield* read(stream), recorded)
  })

const mebibyte = 1024 * 1024

export const payloads: ReadonlyArray<Case> = [
  givesBack("text of all alphabets", "naïve — Ελληνικά — עברית — 日本語 — 👩‍👩‍👧 — e\u0301"),
  givesBack("text with NUL", "\0", "a\0b", "\\u0000", "\0\0"),
  givesBack("half of a surrogate pair", "\ud800", "before \udfff after", "\udc00\ud800"),
  givesBack("what JSON escapes", "\u2028 \u2029 \\ \" ' \r\n\t\b\f \u001b \u007f \ufeff", "\\\\\"", "{}", "null"),
  givesBack("what SQL might take for something else", "'; DROP TABLE events; --", "$1", "{a,b}", "NULL", "\\N", "%"),
  givesBack("the empty text and white space", "", " ", "  a  "),

  holds("gives back nested JSON as it was", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("nested")
    const nested = DirectiveEvent.cases.CommandAnswered.make({
      commandId: "\0",
      answer: {
        "a\0": [null, true, -1.5, 1e300, 5e-324, 2 ** 53, { "": {} }],
        __proto__x: [],
        "\ud800": ["\udfff"],
        "10": 1,
        "9": 2
      }
    })
    yield* log.append([{ stream, expected: 0, events: [nested] }], about)
    const [recorded] = yield* read(stream)
    assert.deepEqual(recorded!.event, nested)
  }),

  holds("keeps what a cause says, whatever its length", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("causes")
    const cause = { commandId: "k".repeat(10_000), correlationId: "日本", causationId: "'; --" }
    const [recorded] = yield* log.append([{ stream, expected: 0, events: facts("a") }], { ...about, ...cause })
    const [found] = yield* read(stream)
    assert.deepEqual(found, recorded)
    assert.equal(found!.commandId, cause.commandId)
  }),

  holds("takes any time in whole milliseconds", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("times")
    const times = [0, 1, -1, 253_402_300_799_999, Number.MAX_SAFE_INTEGER]
    for (const at of times) yield* log.append([{ stream, expected: "any", events: facts("a") }], { at })
    assert.deepEqual((yield* read(stream)).map(({ at }) => at), times)
  }),

  holdsAtLarge("appends an event of one mebibyte", function*() {
    const stream = (yield* names)("mebibyte")
    const values = ["x".repeat(mebibyte), "日".repeat(mebibyte / 3)]
    yield* append(stream, 0, ...values)
    assert.ok((yield* readValues(stream)).every((value, i) => value === values[i]))
  }),

  holdsAtLarge("appends ten events of one mebibyte at once, and small ones beside them", function*() {
    const name = yield* names
    const large = yield* Effect.forkScoped(append(name("large"), 0, ...numbered("", 10).map((n) => n.repeat(mebibyte))))
    const small = yield* Effect.forEach(
      numbered("small-", 50),
      (stream) => Effect.forkScoped(append(name(stream), 0, "a"))
    )
    yield* Effect.forEach([large, ...small], Fiber.join)
    const lengths = (yield* readValues(name("large"))).map(({ length }) => length)
    assert.deepEqual(lengths, Array(10).fill(mebibyte))
  }),

  holdsAtLarge("appends 10,000 events at once and reads them back in order", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("long")
    const start = yield* head
    const values = numbered("", 10_000)
    const recorded = yield* append(stream, 0, ...values)
    assert.deepEqual(valuesOf(recorded), values)
    assert.deepEqual(recorded.map(({ version }) => version), values.map((value) => Number(value) + 1))
    assert.deepEqual(yield* read(stream), recorded)
    assert.deepEqual(yield* readAll({ after: start }), recorded)
    const followed = yield* Stream.runCollect(Stream.take(log.subscribe({ after: start }), values.length))
    assert.deepEqual(followed, recorded)
    assert.deepEqual(yield* readValues(stream, { after: 9_998 }), ["9998", "9999"])
  }),

  holdsAtLarge("appends to a thousand streams at once", function*() {
    const log = yield* EventLog
    const name = yield* names
    const streams = numbered("wide-", 1_000).map(name)
    const parts = streams.map((stream) => ({ stream, expected: "none", events: facts("a", "b") } as const))
    assert.equal((yield* log.append(parts, about)).length, 2_000)
    assert.equal((yield* Effect.flip(log.append(parts, about)))._tag, "VersionConflict")
    const heads = yield* Effect.forEach(
      streams,
      (stream) => Effect.map(log.streamHead(stream), ({ version }) => version)
    )
    assert.ok(heads.every((version) => version === 2))
  })
]
