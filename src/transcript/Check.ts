/**
 * Whether a transcript is whole: every line is looked at as it comes, and passed on only if it is what has to be there.
 *
 * A line that is changed, missing, added or elsewhere is found where it makes itself felt first. What is changed and
 * gives the same hashes (half a character of a text) is found by the digest in the last line, which cannot say where.
 */
import { Result, Schema, Stream } from "effect"
import { canonical } from "../events/Chain.ts"
import { lines } from "./internal/lines.ts"
import { upToFailure } from "./internal/upToFailure.ts"
import { isRedacted } from "./Redaction.ts"
import { BrokenTranscript, Closing, Entry, formatVersion, type Line, Opening, Tally } from "./Transcript.ts"

/** The lines of a transcript, up to the first that is wrong, which fails the stream. It ends after the last line. */
export const check = <E>(bytes: Stream.Stream<Uint8Array, E>): Stream.Stream<Line, E | BrokenTranscript> =>
  Stream.suspend(() => {
    const checker = new Checker()
    const end = Stream.suspend(() => {
      const broken = checker.end()
      return broken === undefined ? Stream.empty : Stream.fail(broken)
    })
    return lines(bytes).pipe(Stream.map((line) => checker.take(line)), upToFailure, Stream.concat(end))
  })

type Checked = Result.Result<Line, BrokenTranscript>

const strict = { onExcessProperty: "error" } as const
const decodeOpening = Schema.decodeUnknownResult(Opening, strict)
const decodeEntry = Schema.decodeUnknownResult(Entry, strict)
const decodeClosing = Schema.decodeUnknownResult(Closing, strict)

class Checker {
  readonly #tally = new Tally()
  #opening: Opening | undefined
  #isClosed = false

  take(bytes: Uint8Array): Checked {
    return Result.flatMap(this.#json(bytes), (json) => {
      if (this.#isClosed) return this.#broken("the end of the file after the closing line", "another line")
      const line = this.#opening === undefined
        ? this.#open(json)
        : isClosing(json)
        ? this.#close(json)
        : this.#follow(json, this.#opening)
      if (Result.isSuccess(line)) this.#tally.add(bytes)
      return line
    })
  }

  /** What is missing when there are no more lines. */
  end(): BrokenTranscript | undefined {
    if (this.#isClosed) return undefined
    const expected = this.#opening === undefined ? "a transcript" : "an event or the closing line"
    return new BrokenTranscript({ line: this.#tally.lines + 1, expected, found: "the end of the file" })
  }

  #broken(expected: string, found: string, entry?: Entry) {
    const place = entry === undefined ? {} : { stream: entry.stream, version: entry.version }
    return Result.fail(new BrokenTranscript({ line: this.#tally.lines + 1, ...place, expected, found }))
  }

  /** The content of a line that is written as this format writes it, byte for byte. */
  #json(bytes: Uint8Array): Result.Result<Schema.Json, BrokenTranscript> {
    const parsed = Result.try((): readonly [text: string, json: Schema.Json] => {
      const text = decoder.decode(bytes)
      return [text, JSON.parse(text)]
    })
    if (Result.isFailure(parsed)) return this.#broken("a line of JSON", "something else")
    const [text, json] = parsed.success
    if (!text.endsWith("\n")) return this.#broken("a line feed at the end of the line", "none")
    return `${canonical(json)}\n` === text
      ? Result.succeed(json)
      : this.#broken("canonical JSON", "other white space, another order, or another way to write the same")
  }

  #open(json: Schema.Json): Checked {
    const opening = decodeOpening(json)
    if (Result.isFailure(opening)) {
      return this.#broken(`the opening line of a transcript of version ${formatVersion}`, reasonOf(opening.failure))
    }
    this.#opening = opening.success
    return Result.succeed({ _tag: "Opening", opening: opening.success })
  }

  #follow(json: Schema.Json, { texts }: Opening): Checked {
    const decoded = decodeEntry(json)
    if (Result.isFailure(decoded)) return this.#broken("an event or the closing line", reasonOf(decoded.failure))
    const entry = decoded.success
    const number = this.#tally.lines + 1
    if (entry.line !== number) return this.#broken(`line ${number}`, `what was written as line ${entry.line}`, entry)
    if (texts === "plain" && isRedacted(entry.event)) {
      return this.#broken("texts in full", "one that is redacted", entry)
    }
    const followed = this.#tally.heads.follow(entry)
    if (Result.isSuccess(followed)) return Result.succeed({ _tag: "Entry", entry })
    return this.#broken(followed.failure.expected, followed.failure.found, entry)
  }

  #close(json: Schema.Json): Checked {
    const decoded = decodeClosing(json)
    if (Result.isFailure(decoded)) return this.#broken("the closing line", reasonOf(decoded.failure))
    const { closing } = this.#tally
    const { digest, events, heads } = decoded.success
    if (events !== closing.events) return this.#broken(`${closing.events} events`, `a closing line of ${events}`)
    for (const [i, head] of closing.heads.entries()) {
      const told = heads[i]
      if (told?.stream === head.stream && told.version === head.version && told.hash === head.hash) continue
      return this.#broken(`${headOf(head)} in the closing line`, told === undefined ? "nothing" : headOf(told))
    }
    if (heads.length > closing.heads.length) return this.#broken(`${closing.heads.length} heads`, `${heads.length}`)
    if (digest !== closing.digest) return this.#broken(`the digest ${closing.digest} of all lines before`, digest)
    this.#isClosed = true
    return Result.succeed({ _tag: "Closing", closing, removed: this.#tally.heads.removals })
  }
}

// A mark at the beginning would be dropped, and what is no UTF-8 replaced, if nobody said otherwise.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const isClosing = (json: Schema.Json): boolean =>
  json !== null && typeof json === "object" && "digest" in json && "heads" in json

const headOf = ({ hash, stream, version }: Closing["heads"][number]): string => `${stream}@${version} ${hash}`

const reasonOf = ({ message }: Schema.SchemaError): string => message.replaceAll(/\s*\n\s*/g, " ")
