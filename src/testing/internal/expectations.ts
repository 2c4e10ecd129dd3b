/** Appends to one stream: what is expected of it, and what is recorded. */
import { Effect } from "effect"
import { EventLog, type Expected } from "../../events/EventLog.ts"
import {
  about,
  append,
  assert,
  at,
  type Case,
  conflictOf,
  facts,
  head,
  holds,
  names,
  read,
  readAll,
  readValues,
  valuesOf
} from "./contract.ts"

const takes = (name: string, before: ReadonlyArray<string>, expected: Expected): Case =>
  holds(`takes ${name}`, function*() {
    const stream = (yield* names)("taken")
    if (before.length > 0) yield* append(stream, 0, ...before)
    yield* append(stream, expected, "new")
    assert.deepEqual(yield* readValues(stream), [...before, "new"])
  })

const refuses = (name: string, before: ReadonlyArray<string>, expected: Expected): Case =>
  holds(`refuses ${name}`, function*() {
    const stream = (yield* names)("refused")
    if (before.length > 0) yield* append(stream, 0, ...before)
    const start = yield* head
    assert.deepEqual(yield* conflictOf(append(stream, expected, "never")), { stream, expected, actual: before.length })
    assert.deepEqual(yield* readValues(stream), before)
    assert.equal(yield* head, start)
  })

export const expectations: ReadonlyArray<Case> = [
  takes("version 0 for a stream without events", [], 0),
  takes("none for a stream without events", [], "none"),
  takes("any for a stream without events", [], "any"),
  refuses("exists for a stream without events", [], "exists"),
  refuses("a version over 0 for a stream without events", [], 1),
  takes("the version of a stream with events", ["a", "b"], 2),
  takes("exists for a stream with events", ["a"], "exists"),
  takes("any for a stream with events", ["a", "b", "c"], "any"),
  refuses("none for a stream with events", ["a"], "none"),
  refuses("version 0 for a stream with events", ["a"], 0),
  refuses("a version that a stream was at before", ["a", "b", "c"], 2),
  refuses("a version that a stream is not yet at", ["a", "b"], 3),
  refuses("a version that no stream ever reaches", ["a"], 3_000_000_000),
  refuses("a number that is no version", ["a"], -1),

  holds("records events with their stream, version, position, time and cause", function*() {
    const log = yield* EventLog
    const stream = (yield* names)("envelope")
    const start = yield* head
    const cause = { commandId: "command-1", correlationId: "correlation-1", causationId: "other@4" }
    const recorded = yield* log.append([{ stream, expected: 0, events: facts("a", "b") }], { at, ...cause })
    const entry = { stream, schemaVersion: 1, at, ...cause }
    assert.deepEqual(recorded, [
      { ...entry, position: start + 1, version: 1, event: facts("a")[0], hash: recorded[0]?.hash },
      { ...entry, position: start + 2, version: 2, event: facts("b")[0], hash: recorded[1]?.hash }
    ])
  }),

  holds("answers an append with what is read afterwards", function*() {
    const stream = (yield* names)("answered")
    const start = yield* head
    const recorded = yield* append(stream, "none", "a", "b", "c")
    assert.deepEqual(yield* read(stream), recorded)
    assert.deepEqual(yield* readAll({ after: start }), recorded)
  }),

  holds("records what caused each event of one append", function*() {
    const log = yield* EventLog
    const name = yield* names
    const causes = [{ commandId: "command-1", causationId: "SetMemory" }, { correlationId: "request-2" }, {}]
    const recorded = yield* log.append([
      { stream: name("one"), expected: 0, events: facts("a", "b", "c"), causes },
      { stream: name("two"), expected: 0, events: facts("d") }
    ], { at, causationId: "Import" })
    const causeOf = ({ causationId, commandId, correlationId }: typeof recorded[number]) => [
      commandId,
      correlationId,
      causationId
    ]
    assert.deepEqual(recorded.map(causeOf), [
      ["command-1", undefined, "SetMemory"],
      [undefined, "request-2", undefined],
      [undefined, undefined, undefined],
      [undefined, undefined, "Import"]
    ])
    assert.deepEqual(yield* read(name("one")), recorded.slice(0, 3))
  }),

  holds("leaves out of an event the causes that it does not have", function*() {
    const stream = (yield* names)("uncaused")
    yield* append(stream, 0, "a")
    const [event] = yield* read(stream)
    const keys = ["at", "event", "hash", "position", "schemaVersion", "stream", "version"]
    assert.deepEqual(Object.keys(event!).sort(), keys)
  }),

  holds("says in a conflict which stream is where", function*() {
    const stream = (yield* names)("directive-7")
    yield* append(stream, 0, "a")
    const error = yield* Effect.flip(append(stream, 3, "b"))
    assert.equal(error.message, `${stream} is at version 1, not 3`)
  }),

  holds("leaves no gap in positions or versions where an append was refused", function*() {
    const stream = (yield* names)("gapless")
    const [first] = yield* append(stream, 0, "a")
    yield* Effect.flip(append(stream, 0, "never"))
    yield* Effect.flip(append(stream, "none", "never"))
    const [second] = yield* append(stream, 1, "b")
    assert.deepEqual([second!.position, second!.version], [first!.position + 1, 2])
  }),

  holds("appends nothing where there is nothing to append", function*() {
    const log = yield* EventLog
    const start = yield* head
    assert.deepEqual(yield* log.append([], about), [])
    assert.equal(yield* head, start)
  }),

  holds("checks what is expected of a stream also where nothing is appended to it", function*() {
    const stream = (yield* names)("checked")
    assert.deepEqual(yield* append(stream, 0), [])
    assert.deepEqual(yield* append(stream, "none"), [])
    assert.deepEqual(yield* conflictOf(append(stream, "exists")), { stream, expected: "exists", actual: 0 })
    yield* append(stream, "none", "a")
    assert.deepEqual(yield* append(stream, 1), [])
    assert.deepEqual(yield* readValues(stream), ["a"])
  }),

  holds("tells streams apart by every character of their names", function*() {
    const name = yield* names
    const all = ["a", "A", "a ", " a", "ä", "a\u0308", "a%", "日本", "👩‍👩‍👧", "x".repeat(900)].map(name)
    for (const [i, stream] of all.entries()) yield* append(stream, "none", `${i}`)
    for (const [i, stream] of all.entries()) assert.deepEqual(yield* readValues(stream), [`${i}`])
  }),

  holds("finds the first answer to an idempotency key, in its stream only", function*() {
    const log = yield* EventLog
    const name = yield* names
    const [stream, other] = [name("asked"), name("other")]
    const answer = (answer: string) => ({ _tag: "CommandAnswered", commandId: "key", answer }) as const
    const put = (events: ReadonlyArray<ReturnType<typeof answer>>, commandId: string) =>
      log.append([{ stream, expected: "any", events }], { at, commandId })
    assert.equal((yield* log.findAnswer(stream, "key"))._tag, "None")
    // What a command leads to is not its answer.
    yield* log.append([{ stream, expected: "any", events: facts("a") }], { at, commandId: "key" })
    assert.equal((yield* log.findAnswer(stream, "key"))._tag, "None")
    const [first] = yield* put([answer("first")], "key")
    yield* put([answer("second")], "key")
    const [long] = yield* put([answer("long")], "k".repeat(5_000))
    const found = yield* Effect.forEach(
      ["key", "k".repeat(5_000)],
      (key) => Effect.flatMap(log.findAnswer(stream, key), Effect.fromOption)
    ).pipe(Effect.orDie)
    assert.deepEqual(found, [first, long])
    assert.equal((yield* log.findAnswer(other, "key"))._tag, "None")
    assert.equal((yield* log.findAnswer(stream, "ke"))._tag, "None")
    assert.equal(valuesOf(yield* read(stream)).length, 4)
  })
]
