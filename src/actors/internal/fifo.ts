/**
 * Persistent sequences whose cost does not grow with what is in them: adding and taking the first are constant.
 * Effect's Chunk concatenates trees, and a plain array would be copied at every transition.
 */

export type List<A> = { readonly head: A; readonly tail: List<A> } | undefined

export function* iterate<A>(list: List<A>): Generator<A> {
  for (let cell = list; cell !== undefined; cell = cell.tail) yield cell.head
}

export const reversed = <A>(list: List<A>): List<A> => {
  let result: List<A>
  for (let cell = list; cell !== undefined; cell = cell.tail) result = { head: cell.head, tail: result }
  return result
}

/** First in, first out. `back` is in reverse order; `front` is empty only when all of it is. */
export interface Fifo<A> {
  readonly front: List<A>
  readonly back: List<A>
}

export const emptyFifo: Fifo<never> = { front: undefined, back: undefined }

export const push = <A>(fifo: Fifo<A>, value: A): Fifo<A> =>
  fifo.front === undefined
    ? { front: { head: value, tail: undefined }, back: undefined }
    : { front: fifo.front, back: { head: value, tail: fifo.back } }

/** Takes values from the front for as long as `gone` says so: how entries that lost their meaning leave. */
export const dropWhile = <A>(fifo: Fifo<A>, gone: (value: A) => boolean): Fifo<A> => {
  let { back, front } = fifo
  while (front !== undefined && gone(front.head)) {
    front = front.tail
    if (front === undefined) {
      front = reversed(back)
      back = undefined
    }
  }
  if (front === fifo.front) return fifo
  return front === undefined ? emptyFifo : { front, back }
}

export function* values<A>(fifo: Fifo<A>): Generator<A> {
  yield* iterate(fifo.front)
  yield* iterate(reversed(fifo.back))
}
