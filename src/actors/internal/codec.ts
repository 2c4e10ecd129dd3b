/**
 * How states are written as JSON and read back exactly, `undefined` fields and the order of maps included.
 *
 * What is read was written by this code, so it is taken for what it is: whoever reads it makes sure of that first. A
 * state names the same things again and again, so texts are written once and numbered, and a struct is an array of its
 * fields: that halves the space, and the time that reading takes.
 */
import { HashMap } from "effect"
import { type Fifo, iterate, type List } from "./fifo.ts"
import type { Heap } from "./heap.ts"

/** The texts of a state that is being written, by their numbers. */
export class Texts {
  readonly #numbers = new Map<string, number>()
  #added: Array<string> = []

  numberOf(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#added.push(text)
    this.#numbers.set(text, this.#numbers.size)
    return this.#numbers.size - 1
  }

  /** Those that have come since this was last asked. */
  takeAdded(): ReadonlyArray<string> {
    const added = this.#added
    this.#added = []
    return added
  }
}

/** A way to write values of one type. `shape` says what is written, in words that change when it does. */
export interface Codec<A> {
  readonly shape: string
  readonly encode: (value: A, texts: Texts) => unknown
  readonly decode: (json: unknown, texts: ReadonlyArray<string>) => A
}

/** How the states of an actor are kept in snapshots. */
export interface StateCodec<State> {
  /** Names the code that folds the same states from the same events. */
  readonly schema: string
  /** In pieces, each of which takes little time. */
  readonly encode: (state: State) => Iterable<string>
  readonly decode: (text: string) => State
}

/** For states that are small: one text, with what they name in front. */
export const inOnePiece = <State, Kept>(
  schema: string,
  kept: Codec<Kept>,
  to: (state: State) => Kept,
  from: (kept: Kept) => State
): StateCodec<State> => ({
  schema,
  encode: (state) => {
    const texts = new Texts()
    const json = kept.encode(to(state), texts)
    return [JSON.stringify([texts.takeAdded(), json])]
  },
  decode: (text) => {
    const [texts, json] = JSON.parse(text) as readonly [ReadonlyArray<string>, unknown]
    return from(kept.decode(json, texts))
  }
})

/** One for each field: a field that is forgotten does not compile. */
export type Fields<A> = { readonly [K in keyof A]-?: Codec<A[K]> }

/** What is JSON already and not null, or undefined. It fits any type, so it is the tests that say where it belongs. */
export const plain: Codec<unknown> & Codec<never> = {
  shape: "plain",
  encode: (value: unknown) => value,
  decode: (json) => (json ?? undefined) as never
}

const anyText: Codec<string | undefined> = {
  shape: "text",
  encode: (value, texts) => value === undefined ? undefined : texts.numberOf(value),
  decode: (json, texts) => json === null ? undefined : texts[json as number]
}

/** A text of some kind, or undefined. */
export const text = <A extends string | undefined>(): Codec<A> => anyText as unknown as Codec<A>

export const struct = <A extends object>(fields: Fields<A>): Codec<A> => {
  const names = Object.keys(fields)
  const codecs: ReadonlyArray<Codec<A[keyof A]>> = Object.values(fields)
  // A copy that has all fields already is filled in half the time that it takes to add them one by one.
  const blank: Record<string, unknown> = Object.fromEntries(names.map((name) => [name, undefined]))
  return {
    shape: `{${names.map((name, index) => `${name}: ${codecs[index]!.shape}`).join(", ")}}`,
    encode: (value, texts) => codecs.map((codec, index) => codec.encode(value[names[index] as keyof A], texts)),
    decode: (json, texts) => {
      const values = json as ReadonlyArray<unknown>
      const result = { ...blank }
      for (let index = 0; index < names.length; index += 1) {
        result[names[index]!] = codecs[index]!.decode(values[index], texts)
      }
      return result as A
    }
  }
}

export const array = <A>(item: Codec<A>): Codec<ReadonlyArray<A>> => ({
  shape: `array of ${item.shape}`,
  encode: (value, texts) => value.map((one) => item.encode(one, texts)),
  decode: (json, texts) => {
    const items = json as ReadonlyArray<unknown>
    // Most arrays of a state are empty, and none is ever written to.
    return items.length === 0 ? nothing : items.map((one) => item.decode(one, texts))
  }
})

const nothing: ReadonlyArray<never> = []

export const list = <A>(item: Codec<A>): Codec<List<A>> => ({
  shape: `list of ${item.shape}`,
  encode: (value, texts) => [...iterate(value)].map((one) => item.encode(one, texts)),
  decode: (json, texts) =>
    (json as ReadonlyArray<unknown>).reduceRight<List<A>>(
      (tail, head) => ({ head: item.decode(head, texts), tail }),
      undefined
    )
})

export const fifo = <A>(item: Codec<A>): Codec<Fifo<A>> => struct({ front: list(item), back: list(item) })

/** Each node after its branches, so that neither way needs a stack as deep as the heap, which may be a list. */
export const heap: Codec<Heap> = {
  shape: "heap",
  encode: (value) => {
    const nodes: Array<number | null> = []
    const rest: Array<Heap> = [value]
    while (rest.length > 0) {
      const node = rest.pop()
      nodes.push(node === undefined ? null : node.value)
      if (node !== undefined) rest.push(node.left, node.right)
    }
    return nodes.toReversed()
  },
  decode: (json) => {
    const branches: Array<Heap> = []
    for (const value of json as ReadonlyArray<number | null>) {
      if (value === null) {
        branches.push(undefined)
        continue
      }
      const right = branches.pop()
      const left = branches.pop()
      branches.push({ value, rank: (right?.rank ?? 0) + 1, left, right })
    }
    return branches.pop()
  }
}

/** The keys are JSON already. */
export const entries = <K, V>(value: Codec<V>): Codec<HashMap.HashMap<K, V>> => ({
  shape: `entries of ${value.shape}`,
  encode: (map, texts) => HashMap.toEntries(map).map(([key, one]) => [key, value.encode(one, texts)]),
  decode: (json, texts) =>
    HashMap.fromIterable(
      (json as ReadonlyArray<readonly [K, unknown]>).map(([key, one]) => [key, value.decode(one, texts)] as const)
    )
})
