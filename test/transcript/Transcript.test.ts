/**
 * Goal: a transcript that is not what was written is found out, and the line is named where that can be known.
 * Method: whole transcripts of random lives, with one thing done to them.
 * Not checked: somebody who writes all lines anew from the changed one on. Whoever fears that keeps the last hashes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { EventLog } from "../../src/events/EventLog.ts"
import type { BrokenTranscript } from "../../src/transcript/Transcript.ts"
import { history } from "../projections/histories.ts"
import { checked, exported, joined, linesOf, lives, logOf } from "./transcripts.ts"

const Choice = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
const Choices = Schema.Array(Choice).check(Schema.isMaxLength(12))

const fails = (bytes: Uint8Array) => Effect.flip(checked(bytes))

describe("A transcript", () => {
  it.effect("is what its check passes on, however its bytes come", () =>
    Effect.gen(function*() {
      const bytes = yield* exported()
      const { head } = yield* EventLog
      for (const size of [1, 7, 4096, bytes.length]) {
        const lines = yield* checked(bytes, size)
        assert.strictEqual(lines[0]?._tag, "Opening")
        const last = lines.at(-1)
        assert.isTrue(last?._tag === "Closing")
        assert.strictEqual(last?._tag === "Closing" && last.closing.events, yield* head)
        assert.strictEqual(lines.length, 2 + (yield* head))
      }
    }).pipe(Effect.provide(logOf(lives))))

  it.effect("of an empty log is whole as well", () =>
    Effect.gen(function*() {
      assert.lengthOf(yield* checked(yield* exported()), 2)
    }).pipe(Effect.provide(EventLog.layerMemory)))

  it.effect("is found out when it is not there at all, or ends early", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        (yield* fails(new Uint8Array())).message,
        "line 1: expected a transcript, found the end of the file"
      )
      const lines = linesOf(yield* exported())
      for (const count of [1, 2, lines.length - 1]) {
        const { message } = yield* fails(joined(lines.slice(0, count)))
        assert.strictEqual(
          message,
          `line ${count + 1}: expected an event or the closing line, found the end of the file`
        )
      }
    }).pipe(Effect.provide(logOf(lives))))

  it.effect.prop(
    "has no byte that can be another",
    [Choices, Choice, Choice],
    ([choices, where, what]) =>
      Effect.gen(function*() {
        const bytes = yield* exported()
        const at = where % bytes.length
        const before = bytes[at]!
        bytes[at] = (before + 1 + what % 255) % 256
        assert.isAtMost((yield* fails(bytes)).line, linesOf(bytes).length)
        bytes[at] = before
        yield* checked(bytes)
      }).pipe(Effect.provide(logOf(history("changed", "ada", choices))))
  )

  it.effect.prop(
    "has no line that can go, come twice or be elsewhere",
    [Choices, Choice, Choice],
    ([choices, a, b]) =>
      Effect.gen(function*() {
        const lines = linesOf(yield* exported())
        const first = a % lines.length
        const second = b % lines.length
        const line = first + 1
        const at = (error: BrokenTranscript, expected: number) =>
          assert.strictEqual(error.line, expected, error.message)

        at(yield* fails(joined(lines.toSpliced(first, 1))), line)
        at(yield* fails(joined(lines.toSpliced(first, 0, lines[first]!))), line + 1)
        if (first === second) return
        const swapped = lines.with(first, lines[second]!).with(second, lines[first]!)
        at(yield* fails(joined(swapped)), Math.min(first, second) + 1)
      }).pipe(Effect.provide(logOf(history("moved", "ada", choices))))
  )

  it.effect("names the line, the event and what is wrong with it", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* exported())
      const changed = (line: number, from: string | RegExp, to: string) => {
        const other = lines[line - 1]!.replace(from, to)
        assert.notStrictEqual(other, lines[line - 1])
        return Effect.map(fails(joined(lines.with(line - 1, other))), ({ message }) => message)
      }
      assert.match(
        yield* changed(3, "machine of b", "machine of c"),
        /^line 3 \(daemons-ada@2\): expected the hash [0-9a-f]{64}, found [0-9a-f]{64}$/
      )
      assert.match(yield* changed(4, "1767225600000", "1767225600001"), /^line 4 \(daemons-ada@3\): expected the hash/)
      assert.strictEqual(
        yield* changed(4, "\"version\":3", "\"version\":4"),
        "line 4 (daemons-ada@4): expected daemons-ada@3, found daemons-ada@4"
      )
      assert.strictEqual(
        yield* changed(5, "\"line\":5", "\"line\":6"),
        "line 5 (daemons-ada@4): expected line 5, found what was written as line 6"
      )
      assert.strictEqual(
        yield* changed(5, ",\"line\"", ", \"line\""),
        "line 5: expected canonical JSON, found other white space, another order, or another way to write the same"
      )
      assert.match(yield* changed(5, "\"hash\":", "\"extra\":1,\"hash\":"), /^line 5: expected an event or the closing/)
      assert.match(
        yield* changed(1, "\"formatVersion\":1", "\"formatVersion\":2"),
        /^line 1: expected the opening line/
      )
      assert.match(
        yield* changed(lines.length, /"events":\d+/, "\"events\":1"),
        new RegExp(`^line ${lines.length}: expected ${lines.length - 2} events, found a closing line of 1$`)
      )
      // Half a character and the sign that stands for any such are hashed alike.
      assert.match(yield* changed(3, "\\ud83d", "\ufffd"), /^line \d+: expected the digest \w+ of all lines before/)
      const twice = yield* fails(joined([...lines, lines.at(-1)!]))
      assert.match(twice.message, /expected the end of the file after the closing line, found another line$/)
    }).pipe(Effect.provide(logOf(lives))))
})
