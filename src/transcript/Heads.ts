/**
 * Where streams are in their hash chains (`events/Chain.ts`): what comes next in each has to fit to what came before.
 *
 * One entry a stream is all that is kept, so following a log takes as much memory as it has streams.
 */
import { Option, Result, Schema } from "effect"
import * as Chain from "../events/Chain.ts"
import { Digest, type DirectiveEvent } from "../events/DirectiveEvent.ts"

export interface Head {
  readonly version: number
  /** In hex. */
  readonly hash: string
}

/** An event as far as its place in the chain depends on it. */
export interface Link extends Chain.Covered {
  readonly version: number
  /** What it is said to have. */
  readonly hash: string
}

/** A stream of which nothing but the end is left: its last event before that, and the transcript that has it all. */
export interface Removal extends Head {
  readonly stream: string
  /** When, in milliseconds since 1970. */
  readonly at: number
  /** The digest of the transcript. */
  readonly exported: string
}

/** What does not fit, in words that follow "expected" and "found". */
export interface Misfit {
  readonly expected: string
  readonly found: string
}

export class Heads {
  readonly #heads = new Map<string, Head>()
  readonly #removals: Array<Removal> = []

  get size(): number {
    return this.#heads.size
  }

  /** The streams that were removed, in the order in which that happened. */
  get removals(): ReadonlyArray<Removal> {
    return this.#removals
  }

  /** By stream, in the order of its code units. */
  entries(): ReadonlyArray<Head & { readonly stream: string }> {
    return [...this.#heads].sort(([a], [b]) => (a < b ? -1 : 1)).map(([stream, head]) => ({ stream, ...head }))
  }

  /** Takes the event as the next one of its stream, unless it is not. */
  follow(link: Link): Result.Result<Head, Misfit> {
    const tombstone = tombstoneIn(link)
    // Of a stream that was removed only this is left, and it says what was before.
    const before = this.#heads.get(link.stream) ?? tombstone ?? beginning
    const named = (version: number) => `${link.stream}@${version}`
    if (link.version !== before.version + 1) {
      return Result.fail({ expected: named(before.version + 1), found: named(link.version) })
    }
    if (tombstone !== undefined && (tombstone.version !== before.version || tombstone.hash !== before.hash)) {
      return Result.fail({
        expected: `a removal after ${named(before.version)} ${before.hash}`,
        found: `${named(tombstone.version)} ${tombstone.hash}`
      })
    }
    const hash = Chain.next(before.hash, Chain.contentOf(link))
    if (link.hash !== hash) return Result.fail({ expected: `the hash ${hash}`, found: link.hash })
    const head = { version: link.version, hash }
    this.#heads.set(link.stream, head)
    if (tombstone !== undefined) this.#removals.push({ stream: link.stream, at: link.at, ...tombstone })
    return Result.succeed(head)
  }
}

/** What a removal says of what is gone. It says so in a redacted transcript as well. */
const Tombstone = Schema.Struct({ version: Schema.Natural, hash: Digest, exported: Digest })
const removed: DirectiveEvent["_tag"] = "DirectiveRemoved"
const decode = Schema.decodeUnknownOption(Tombstone)

const tombstoneIn = ({ event }: Link): typeof Tombstone.Type | undefined =>
  event._tag === removed
    ? Option.getOrUndefined(decode(event))
    : undefined

const beginning: Head = { version: 0, hash: Chain.start }
