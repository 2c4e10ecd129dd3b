/**
 * Persistent sequences whose cost does not grow with what is in them: adding and taking the first are constant.
 * Effect's Chunk concatenates trees, and a plain array would be copied at every transition.
 */

export type List<A> = { readonly head: A; readonly tail: List<A> } | undefined

export const listOf = <A>(values: Iterable<A>): List<A> => {
  let list: List<A>
  for (const head of [...values].toReversed()) list = { head, tail: list }
  return list
}

export function* iterate<A>(list: List<A>): Generator<A> {
  for (let cell = list; cell !== undefined; cell = cell.tail) yield cell.head
}

/** First in, first out. `back` is in reverse order. */
export interface Fifo<A> {
  readonly front: List<A>
  readonly back: List<A>
}

export const emptyFifo: Fifo<never> = { front: undefined, back: undefined }

export const push = <A>(fifo: Fifo<A>, value: A): Fifo<A> => ({
  front: fifo.front,
  back: { head: value, tail: fifo.back }
})

/** Takes values from the front for as long as `gone` says so: how entries that lost their meaning leave. */
export const dropWhile = <A>(fifo: Fifo<A>, gone: (value: A) => boolean): Fifo<A> => {
  let { back, front } = fifo
  while (true) {
    while (front !== undefined) {
      if (!gone(front.head)) return { front, back }
      front = front.tail
    }
    if (back === undefined) return emptyFifo
    front = listOf([...iterate(back)].toReversed())
    back = undefined
  }
}

export function* values<A>(fifo: Fifo<A>): Generator<A> {
  yield* iterate(fifo.front)
  yield* [...iterate(fifo.back)].toReversed()
}
