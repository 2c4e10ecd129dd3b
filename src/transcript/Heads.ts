/**
 * Where streams are in their hash chains (`events/Chain.ts`): what comes next in each has to fit to what came before.
 *
 * One entry a stream is all that is kept, so following a log takes as much memory as it has streams.
 */
import { Result, Schema } from "effect"
import * as Chain from "../events/Chain.ts"
import { Digest } from "../events/DirectiveEvent.ts"

export interface Head {
  readonly version: number
  /** In hex. */
  readonly hash: string
}

/** An event as far as its place in the chain depends on it. */
export interface Link extends Chain.Covered {
  readonly version: number
  /** What it is said to have. Without it nothing is compared. */
  readonly hash?: string
}

/** What does not fit, in words that follow "expected" and "found". */
export interface Misfit {
  readonly expected: string
  readonly found: string
}

export class Heads {
  readonly #heads = new Map<string, Head>()

  get size(): number {
    return this.#heads.size
  }

  /** By stream, in the order of its code units. */
  entries(): ReadonlyArray<Head & { readonly stream: string }> {
    return [...this.#heads].sort(([a], [b]) => (a < b ? -1 : 1)).map(([stream, head]) => ({ stream, ...head }))
  }

  /** Takes the event as the next one of its stream, unless it is not. Gives its hash. */
  follow(link: Link): Result.Result<string, Misfit> {
    const tombstone = removalIn(link)
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
    const hash = next(before.hash, Chain.contentOf(link))
    if (link.hash !== undefined && link.hash !== hash) {
      return Result.fail({ expected: `the hash ${hash}`, found: link.hash })
    }
    this.#heads.set(link.stream, { version: link.version, hash })
    return Result.succeed(hash)
  }
}

/** What a removal says of the event before it. It says so in a redacted transcript as well. */
const Removal = Schema.Struct({ _tag: Schema.Literal("DirectiveRemoved"), version: Schema.Natural, hash: Digest })
const isRemoval = Schema.is(Removal)

/** The head that a stream had when it was removed. */
const removalIn = ({ event }: Link): Head | undefined =>
  event._tag === Removal.fields._tag.literal && isRemoval(event) ? event : undefined

const hex = (hash: Uint8Array): string => Buffer.from(hash).toString("hex")
const next = (before: string, content: Uint8Array): string => hex(Chain.next(Buffer.from(before, "hex"), content))

const beginning: Head = { version: 0, hash: hex(Chain.start) }
