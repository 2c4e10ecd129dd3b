/**
 * How states are written as JSON and read back exactly, `undefined` fields and the order of maps included.
 *
 * What is read was written by this code, so it is taken for what it is: whoever reads it makes sure of that first.
 * A struct is an array of its fields, which takes half the space and half the time of an object.
 */
import { HashMap } from "effect"
import { type Fifo, iterate, type List } from "./fifo.ts"
import type { Heap } from "./heap.ts"

/** A way to write values of one type. `shape` says what is written, in words that change when it does. */
export interface Codec<A> {
  readonly shape: string
  readonly encode: (value: A) => unknown
  readonly decode: (json: unknown) => A
}

/** How the states of an actor are kept in snapshots. */
export interface StateCodec<State> {
  /** Names the code that folds the same states from the same events. */
  readonly schema: string
  /** In pieces, each of which takes little time. */
  readonly encode: (state: State) => Iterable<string>
  readonly decode: (text: string) => State
}

/** One for each field: a field that is forgotten does not compile. */
export type Fields<A> = { readonly [K in keyof A]-?: Codec<A[K]> }

/** What is JSON already and not null, or undefined. It fits any type, so it is the tests that say where it belongs. */
export const plain: Codec<unknown> & Codec<never> = {
  shape: "plain",
  encode: (value: unknown) => value,
  decode: (json) => (json ?? undefined) as never
}

export const struct = <A extends object>(fields: Fields<A>): Codec<A> => {
  const names = Object.keys(fields)
  const codecs: ReadonlyArray<Codec<A[keyof A]>> = Object.values(fields)
  // A copy that has all fields already is filled in half the time that it takes to add them one by one.
  const blank: Record<string, unknown> = Object.fromEntries(names.map((name) => [name, undefined]))
  return {
    shape: `{${names.map((name, index) => `${name}: ${codecs[index]!.shape}`).join(", ")}}`,
    encode: (value) => codecs.map((codec, index) => codec.encode(value[names[index] as keyof A])),
    decode: (json) => {
      const values = json as ReadonlyArray<unknown>
      const result = { ...blank }
      for (let index = 0; index < names.length; index += 1) {
        result[names[index]!] = codecs[index]!.decode(values[index])
      }
      return result as A
    }
  }
}

const listOf = <A>(values: ReadonlyArray<A>): List<A> =>
  values.reduceRight<List<A>>((tail, head) => ({ head, tail }), undefined)

/** Of what is JSON already. */
export const list = <A>(): Codec<List<A>> => ({
  shape: "list",
  encode: (value) => [...iterate(value)],
  decode: (json) => listOf(json as ReadonlyArray<A>)
})

/** Of what is JSON already. */
export const fifo = <A>(): Codec<Fifo<A>> => ({
  shape: "fifo",
  encode: ({ back, front }) => [[...iterate(front)], [...iterate(back)]],
  decode: (json) => {
    const [front, back] = json as readonly [ReadonlyArray<A>, ReadonlyArray<A>]
    return { front: listOf(front), back: listOf(back) }
  }
})

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
  encode: (map) => HashMap.toEntries(map).map(([key, one]) => [key, value.encode(one)]),
  decode: (json) =>
    HashMap.fromIterable(
      (json as ReadonlyArray<readonly [K, unknown]>).map(([key, one]) => [key, value.decode(one)] as const)
    )
})
