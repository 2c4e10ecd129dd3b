/**
 * What every event log promises. Each implementation runs this suite; each case has streams of its own.
 *
 * It runs on the real clock: a database does not wait for a virtual one.
 */
import { assert, layer as provided } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Option, Queue, Stream } from "effect"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog, type Expected, type RecordedEvent, VersionConflict } from "../../src/events/EventLog.ts"
import type { LoggedEvent } from "../../src/events/Unreadable.ts"

const at = 1_700_000_000_000
const about = { at }

/** An event that can be told from others. */
export const fact = (value: string) => DirectiveEvent.cases.MemorySet.make({ key: "fact", value })
export const facts = (...values: ReadonlyArray<string>) => values.map(fact)

const valueOf = ({ event }: LoggedEvent): string => event._tag === "MemorySet" ? event.value : event._tag
const valuesOf = (events: ReadonlyArray<LoggedEvent>) => events.map(valueOf)

const append = Effect.fnUntraced(function*(stream: string, expected: Expected, ...values: ReadonlyArray<string>) {
  const log = yield* EventLog
  return yield* log.append([{ stream, expected, events: facts(...values) }], about)
})

const readValues = (stream: string, after = 0) =>
  EventLog.use((log) => Effect.map(Stream.runCollect(log.read(stream, { after })), valuesOf))

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

export const suite = <E>(name: string, layer: Layer.Layer<EventLog, E>) =>
  provided(layer, { excludeTestServices: true })(name, (it) => {
    it.effect("records events with their stream, version, position, time and cause", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const cause = { commandId: "command-1", correlationId: "correlation-1", causationId: "other@4" }
        const recorded = yield* log.append(
          [{ stream: "envelope", expected: 0, events: facts("a", "b") }],
          { at, ...cause }
        )
        const first = recorded[0]!.position
        const entry = { stream: "envelope", schemaVersion: 1, at, ...cause }
        assert.deepStrictEqual(recorded, [
          { ...entry, position: first, version: 1, hash: recorded[0]!.hash, event: fact("a") },
          { ...entry, position: first + 1, version: 2, hash: recorded[1]!.hash, event: fact("b") }
        ])
        assert.deepStrictEqual(yield* Stream.runCollect(log.read("envelope")), recorded)
      }))

    it.effect("records what caused each event of one append", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const causes = [{ commandId: "command-1", causationId: "SetMemory" }, { correlationId: "request-2" }, {}]
        const recorded = yield* log.append([
          { stream: "caused-1", expected: 0, events: facts("a", "b", "c"), causes },
          { stream: "caused-2", expected: 0, events: facts("d") }
        ], { at, causationId: "Import" })
        const causeOf = ({ causationId, commandId, correlationId }: RecordedEvent) => [
          commandId,
          correlationId,
          causationId
        ]
        assert.deepStrictEqual(recorded.map(causeOf), [
          ["command-1", undefined, "SetMemory"],
          [undefined, "request-2", undefined],
          [undefined, undefined, undefined],
          [undefined, undefined, "Import"]
        ])
        assert.deepStrictEqual(yield* Stream.runCollect(log.read("caused-1")), recorded.slice(0, 3))
      }))

    it.effect("leaves out of an event the causes that it does not have", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        yield* append("uncaused", 0, "a")
        const [event] = yield* Stream.runCollect(log.read("uncaused"))
        assert.deepStrictEqual(Object.keys(event!).sort(), [
          "at",
          "event",
          "hash",
          "position",
          "schemaVersion",
          "stream",
          "version"
        ])
      }))

    it.effect("accepts what is expected of a stream without events", () =>
      Effect.gen(function*() {
        yield* append("new-0", 0, "a")
        yield* append("new-none", "none", "a")
        yield* append("new-any", "any", "a")
        assert.deepStrictEqual(
          yield* Effect.flip(append("new-exists", "exists", "a")),
          new VersionConflict({ stream: "new-exists", expected: "exists", actual: 0 })
        )
        assert.deepStrictEqual(
          yield* Effect.flip(append("new-1", 1, "a")),
          new VersionConflict({ stream: "new-1", expected: 1, actual: 0 })
        )
        assert.deepStrictEqual(yield* readValues("new-exists"), [])
        assert.deepStrictEqual(yield* readValues("new-1"), [])
      }))

    it.effect("accepts what is expected of a stream with events", () =>
      Effect.gen(function*() {
        yield* append("old", 0, "a", "b")
        yield* append("old", 2, "c")
        yield* append("old", "exists", "d")
        yield* append("old", "any", "e")
        for (const expected of [0, 4, 6, 3_000_000_000, "none"] as const) {
          assert.deepStrictEqual(
            yield* Effect.flip(append("old", expected, "never")),
            new VersionConflict({ stream: "old", expected, actual: 5 })
          )
        }
        assert.deepStrictEqual(yield* readValues("old"), ["a", "b", "c", "d", "e"])
      }))

    it.effect("says in a conflict which stream is where", () =>
      Effect.gen(function*() {
        yield* append("directive-7", 0, "a")
        assert.strictEqual(
          (yield* Effect.flip(append("directive-7", 3, "b"))).message,
          "directive-7 is at version 1, not 3"
        )
      }))

    it.effect("appends to several streams at once", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        yield* append("several-2", 0, "before")
        const recorded = yield* log.append([
          { stream: "several-1", expected: "none", events: facts("a", "b") },
          { stream: "several-2", expected: 1, events: facts("c") },
          { stream: "several-3", expected: "any", events: [] }
        ], about)
        assert.deepStrictEqual(valuesOf(recorded), ["a", "b", "c"])
        assert.deepStrictEqual(recorded.map(({ stream, version }) => `${stream}@${version}`), [
          "several-1@1",
          "several-1@2",
          "several-2@2"
        ])
        assert.deepStrictEqual(yield* readValues("several-1"), ["a", "b"])
        assert.deepStrictEqual(yield* readValues("several-2"), ["before", "c"])
      }))

    it.effect("writes to no stream if one of them is elsewhere", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const before = yield* log.head
        const conflict = yield* Effect.flip(log.append([
          { stream: "nothing-1", expected: 0, events: facts("a") },
          { stream: "nothing-2", expected: 4, events: facts("b") },
          { stream: "nothing-3", expected: "exists", events: facts("c") }
        ], about))
        assert.deepStrictEqual(conflict, new VersionConflict({ stream: "nothing-2", expected: 4, actual: 0 }))
        assert.deepStrictEqual(yield* readValues("nothing-1"), [])
        assert.deepStrictEqual(yield* readValues("nothing-3"), [])
        assert.strictEqual(yield* log.head, before)
      }))

    it.effect("hurts no other append with a conflict", () =>
      Effect.gen(function*() {
        const outcomes = yield* Effect.forEach(
          numbered("neighbour-", 60),
          (stream, i) => Effect.result(append(stream, i % 3 === 0 ? 7 : 0, "a")),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          outcomes.map(({ _tag }) => _tag),
          outcomes.map((_, i) => i % 3 === 0 ? "Failure" : "Success")
        )
        const lengths = yield* Effect.forEach(numbered("neighbour-", 60), (stream) => readValues(stream))
        assert.deepStrictEqual(lengths.map(({ length }) => length), outcomes.map((_, i) => i % 3 === 0 ? 0 : 1))
      }))

    it.effect("lets exactly one of many win a version", () =>
      Effect.gen(function*() {
        const outcomes = yield* Effect.forEach(
          numbered("racer-", 50),
          (racer) => Effect.result(append("race", 0, racer)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Success").length, 1)
        assert.strictEqual((yield* readValues("race")).length, 1)
      }))

    it.effect("numbers the events of a stream without gaps, whoever appends at once", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        yield* Effect.forEach(
          numbered("", 100),
          (value) =>
            log.append([
              { stream: "crowd", expected: "any", events: facts(value, `${value}'`) },
              { stream: `crowd-${Number(value) % 7}`, expected: "any", events: facts(value) }
            ], about),
          { concurrency: "unbounded", discard: true }
        )
        const crowd = yield* Stream.runCollect(log.read("crowd"))
        assert.deepStrictEqual(crowd.map(({ version }) => version), numbered("", 200).map((n) => Number(n) + 1))
        const values = valuesOf(crowd)
        // An append stays in one piece.
        for (let i = 0; i < 200; i += 2) assert.strictEqual(values[i + 1], `${values[i]}'`)
        assert.deepStrictEqual(
          values.filter((value) => !value.endsWith("'")).map(Number).sort((a, b) => a - b),
          numbered("", 100).map(Number)
        )
      }))

    it.effect("appends nothing where there is nothing to append", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const before = yield* log.head
        assert.deepStrictEqual(yield* log.append([], about), [])
        assert.deepStrictEqual(yield* append("empty", 0), [])
        assert.strictEqual((yield* Effect.flip(append("empty", "exists")))._tag, "VersionConflict")
        assert.strictEqual(yield* log.head, before)
        assert.deepStrictEqual(yield* readValues("empty"), [])
      }))

    it.effect("reads a stream from a version on", () =>
      Effect.gen(function*() {
        yield* append("partly", 0, "a", "b", "c")
        assert.deepStrictEqual(yield* readValues("partly", 1), ["b", "c"])
        assert.deepStrictEqual(yield* readValues("partly", 3), [])
        assert.deepStrictEqual(yield* readValues("partly", 99), [])
        assert.deepStrictEqual(yield* readValues("never-heard-of"), [])
      }))

    it.effect("reads all streams in the order of their positions, which have no gaps", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const start = yield* log.head
        yield* append("order-1", 0, "a")
        yield* append("order-2", 0, "b", "c")
        yield* Effect.flip(append("order-2", 0, "never"))
        yield* append("order-1", 1, "d")
        const events = yield* Stream.runCollect(log.readAll({ after: start }))
        assert.deepStrictEqual(valuesOf(events), ["a", "b", "c", "d"])
        assert.deepStrictEqual(events.map(({ position }) => position - start), [1, 2, 3, 4])
        assert.strictEqual(yield* log.head, start + 4)
        assert.deepStrictEqual(valuesOf(yield* Stream.runCollect(log.readAll({ after: start + 2 }))), ["c", "d"])
        const whole = yield* Stream.runCollect(log.readAll())
        assert.deepStrictEqual(whole.map(({ position }) => position), numbered("", start + 4).map((n) => Number(n) + 1))
      }))

    it.effect("appends two thousand events at once and reads them back in order", () =>
      Effect.gen(function*() {
        const values = numbered("", 2500)
        const recorded = yield* append("long", 0, ...values)
        assert.deepStrictEqual(valuesOf(recorded), values)
        assert.deepStrictEqual(yield* readValues("long"), values)
        assert.deepStrictEqual(yield* readValues("long", 2499), ["2499"])
      }))

    it.effect("gives back every text as it was", () =>
      Effect.gen(function*() {
        const texts = [
          "",
          "naïve — Ελληνικά — 日本語 — 👩‍👩‍👧",
          "a\0b",
          "\ud800",
          "before \udfff after",
          "\u2028 \\ \" ' \\u0000 \r\n\t",
          "x".repeat(1024 * 1024)
        ]
        yield* append("texts", 0, ...texts)
        assert.deepStrictEqual(yield* readValues("texts"), texts)
        const nested = DirectiveEvent.cases.CommandAnswered.make({
          commandId: "\0",
          answer: { "a\0": [null, true, -1.5, 1e300, { "": {} }] }
        })
        const log = yield* EventLog
        yield* log.append([{ stream: "nested", expected: 0, events: [nested] }], about)
        const [read] = yield* Stream.runCollect(log.read("nested"))
        assert.deepStrictEqual(read!.event, nested)
      }))

    it.effect("finds the answer to an idempotency key, the first of them and in its stream only", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const answered = (commandId: string, answer: string) =>
          DirectiveEvent.cases.CommandAnswered.make({ commandId, answer })
        const long = "k".repeat(10_000)
        const events = [DirectiveEvent.cases.MemorySet.make({ key: "k", value: "v" }), answered("a", "1")]
        yield* log.append([{ stream: "answers", expected: 0, events }], { ...about, commandId: "a" })
        for (const [index, key] of ["b", "a", long].entries()) {
          yield* log.append([{ stream: "answers", expected: 2 + index, events: [answered(key, "2")] }], {
            ...about,
            commandId: key
          })
        }
        const versionOf = (stream: string, key: string) =>
          Effect.map(log.findAnswer(stream, key), Option.map(({ version }) => version))
        assert.deepStrictEqual(yield* versionOf("answers", "a"), Option.some(2))
        assert.deepStrictEqual(yield* versionOf("answers", long), Option.some(5))
        assert.deepStrictEqual(yield* versionOf("answers", "c"), Option.none())
        assert.deepStrictEqual(yield* versionOf("others", "a"), Option.none())
        const found = Option.getOrThrow(yield* log.findAnswer("answers", "b"))
        assert.deepStrictEqual(found, (yield* Stream.runCollect(log.read("answers", { after: 2 })))[0])
      }))

    it.effect("gives a subscriber the past, then the present", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const start = yield* log.head
        yield* append("followed", 0, "a", "b")
        const past = yield* Deferred.make<void>()
        const follower = yield* log.subscribe({ after: start }).pipe(
          Stream.tap((event) => valueOf(event) === "b" ? Deferred.succeed(past, undefined) : Effect.void),
          Stream.take(4),
          Stream.runCollect,
          Effect.forkScoped
        )
        yield* Deferred.await(past)
        yield* append("followed", 2, "c")
        yield* append("followed-too", 0, "d")
        assert.deepStrictEqual(valuesOf(yield* Fiber.join(follower)), ["a", "b", "c", "d"])
      }).pipe(Effect.scoped))

    it.effect("starts a subscriber at the beginning, or after any position", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        yield* append("begun", 0, "a", "b", "c")
        const head = yield* log.head
        const all = yield* Stream.runCollect(Stream.take(log.subscribe(), head))
        assert.deepStrictEqual(all, yield* Stream.runCollect(Stream.take(log.readAll(), head)))
        const last = yield* Stream.runCollect(Stream.take(log.subscribe({ after: head - 2 }), 2))
        assert.deepStrictEqual(valuesOf(last), ["b", "c"])
      }))

    it.effect("gives each subscriber each event once and in order while many write", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const start = yield* log.head
        const writers = 8
        const each = 40
        const followers = yield* Effect.forEach(
          numbered("", 3),
          () =>
            Effect.forkScoped(
              Stream.runCollect(Stream.take(log.subscribe({ after: start }), writers * each * 2))
            )
        )
        yield* Effect.forEach(numbered("writer-", writers), (stream) =>
          Effect.forEach(numbered("", each), (value, i) => append(stream, i * 2, value, `${value}'`)), {
          concurrency: "unbounded",
          discard: true
        })
        const expected = yield* Stream.runCollect(log.readAll({ after: start }))
        assert.strictEqual(expected.length, writers * each * 2)
        for (const follower of followers) {
          assert.deepStrictEqual(yield* Fiber.join(follower), expected)
        }
      }).pipe(Effect.scoped))

    it.effect("takes away the beginning of a stream, and nothing else", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const start = yield* log.head
        yield* append("truncated", 0, "a", "b")
        yield* append("beside", 0, "a")
        yield* append("truncated", 2, "c", "d")
        const before = yield* Stream.runCollect(log.readAll({ after: start }))
        // A follower that may be in the middle of it comes out at the other side.
        const follower = yield* log.subscribe({ after: start + 3 }).pipe(
          Stream.takeUntil(({ position }) => position === start + 7),
          Stream.map(({ position }) => position),
          Stream.runCollect,
          Effect.forkScoped
        )
        assert.strictEqual(yield* log.truncate("truncated", 4), 3)
        const kept = before.filter(({ stream, version }) => stream === "beside" || version === 4)
        assert.deepStrictEqual(yield* Stream.runCollect(log.readAll({ after: start })), kept)
        assert.deepStrictEqual(yield* Stream.runCollect(log.read("truncated")), kept.slice(-1))
        assert.deepStrictEqual(yield* Stream.runCollect(log.read("truncated", { after: 4 })), [])

        const conflict = yield* Effect.flip(append("truncated", "none", "e"))
        assert.deepStrictEqual(conflict._tag === "VersionConflict" ? conflict.actual : conflict, 4)
        const [next] = yield* append("truncated", 4, "e")
        assert.deepStrictEqual([next?.version, next?.position], [5, start + 6])
        assert.strictEqual(yield* log.head, start + 6)
        yield* append("beside", 1, "b")
        const followed = yield* Fiber.join(follower)
        assert.deepStrictEqual(followed.slice(-3), [start + 5, start + 6, start + 7])
      }).pipe(Effect.scoped))

    it.effect("takes nothing away before an event that is not there", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        yield* append("kept", 0, "a", "b")
        assert.deepStrictEqual(yield* Effect.forEach([0, 1, 3], (before) => log.truncate("kept", before)), [0, 0, 0])
        assert.strictEqual(yield* log.truncate("not-there", 1), 0)
        assert.deepStrictEqual(yield* readValues("kept"), ["a", "b"])
      }))

    it.effect("settles every append, also those that nobody waits for any more", () =>
      Effect.gen(function*() {
        const settled = yield* Queue.unbounded<string>()
        const fibers = yield* Effect.forEach(numbered("settled-", 100), (stream) =>
          append(stream, 0, "a").pipe(
            Effect.onExit(() => Queue.offer(settled, stream)),
            Effect.forkScoped
          ))
        yield* Effect.forEach(fibers.filter((_, i) => i % 2 === 0), Fiber.interrupt, { concurrency: "unbounded" })
        const exits = yield* Effect.forEach(fibers, Fiber.await)
        for (const [i, exit] of exits.entries()) if (i % 2 === 1) assert.strictEqual(exit._tag, "Success")
        // Interrupting the one who waits does not say whether it was appended; both are whole.
        const lengths = yield* Effect.forEach(numbered("settled-", 100), (stream) => readValues(stream))
        for (const [i, values] of lengths.entries()) assert.include(i % 2 === 1 ? [1] : [0, 1], values.length)
      }).pipe(Effect.scoped))
  })
