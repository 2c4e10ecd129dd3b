/**
 * A transcript: a log, or a part of it, as lines of text that prove that they are whole.
 *
 * The lines are canonical JSON (`Chain.canonical`), so the same history is the same bytes. The first says what it is a
 * transcript of; then comes one for each event, in the order of the log, with all that its hash covers; the last has the
 * head of every stream and a digest of all bytes before it. Positions are not there: they belong to one store.
 */
import { Schema } from "effect"
import { createHash } from "node:crypto"
import * as Chain from "../events/Chain.ts"
import { Digest } from "../events/DirectiveEvent.ts"
import { DirectiveId, OwnerId } from "../events/Ids.ts"
import { Heads, type Removal } from "./Heads.ts"

/** What a newer version changes about the lines, or about what the hashes cover, gets another number. */
export const formatVersion = 1

const Positive = Schema.Int.check(Schema.isGreaterThan(0))

export const Contents = Schema.TaggedUnion({
  All: {},
  /** The directives of an owner, and what happened to the owner's daemons. */
  Owner: { ownerId: OwnerId },
  Directive: { directiveId: DirectiveId }
})
export type Contents = typeof Contents.Type

/** The first line. */
export const Opening = Schema.Struct({
  format: Schema.Literal("makima transcript"),
  formatVersion: Schema.Literal(formatVersion),
  contents: Contents,
  /** With `redacted` texts it can be checked and looked at, but it is not what happened word by word. */
  texts: Schema.Literals(["plain", "redacted"])
})
export type Opening = typeof Opening.Type

/** The line of an event. Its number is there so that a line which is gone, or elsewhere, is found where that begins. */
export const Entry = Schema.Struct({
  line: Positive,
  stream: Schema.String,
  version: Positive,
  schemaVersion: Positive,
  at: Schema.Int,
  commandId: Schema.optionalKey(Schema.String),
  correlationId: Schema.optionalKey(Schema.String),
  causationId: Schema.optionalKey(Schema.String),
  /** As it is stored, which may be in the shape of an older version. */
  event: Schema.StructWithRest(Schema.Struct({ _tag: Schema.String }), [Schema.Record(Schema.String, Schema.Json)]),
  hash: Digest
})
export type Entry = typeof Entry.Type

/** The last line. */
export const Closing = Schema.Struct({
  events: Schema.Natural,
  /** By stream. */
  heads: Schema.Array(Schema.Struct({ stream: Schema.String, version: Positive, hash: Digest })),
  /** SHA-256 of all bytes before this line. */
  digest: Digest
})
export type Closing = typeof Closing.Type

export type Line =
  | { readonly _tag: "Opening"; readonly opening: Opening }
  | { readonly _tag: "Entry"; readonly entry: Entry }
  | { readonly _tag: "Closing"; readonly closing: Closing; readonly removed: ReadonlyArray<Removal> }

/** Here and after `line` the transcript is not what was written. Lines count from 1. */
export class BrokenTranscript extends Schema.TaggedError<BrokenTranscript>()("BrokenTranscript", {
  line: Positive,
  /** Of the event that is on the line, where there is one. */
  stream: Schema.optionalKey(Schema.String),
  version: Schema.optionalKey(Schema.Int),
  expected: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    const place = this.stream === undefined ? "" : ` (${this.stream}@${this.version})`
    return `line ${this.line}${place}: expected ${this.expected}, found ${this.found}`
  }
}

/** What the lines so far come to: the closing line says it, and whoever checks them compares. */
export class Tally {
  readonly heads = new Heads()
  readonly #digest = createHash("sha256")
  #lines = 0

  /** How many lines there are. */
  get lines(): number {
    return this.#lines
  }

  /** Takes the bytes of a line, its end included. */
  add(line: Uint8Array): void {
    this.#digest.update(line)
    this.#lines += 1
  }

  get closing(): Closing {
    return {
      events: Math.max(0, this.#lines - 1),
      heads: this.heads.entries(),
      digest: this.#digest.copy().digest("hex")
    }
  }
}

const encoder = new TextEncoder()

/** A line as it is written, its end included. */
export const bytesOf = (content: Opening | Entry | Closing): Uint8Array =>
  encoder.encode(`${Chain.canonical(content as unknown as Schema.Json)}\n`)
