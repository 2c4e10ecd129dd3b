/**
 * A persistent leftist heap of numbers: the least is at the top, adding and taking cost the logarithm of what is in it.
 * A sorted array would be copied each time.
 */

export type Heap = {
  readonly value: number
  /** The length of the right spine, which is what a merge walks down. */
  readonly rank: number
  readonly left: Heap
  readonly right: Heap
} | undefined

const node = (value: number, one: Heap, other: Heap): Heap => {
  const [oneRank, otherRank] = [one?.rank ?? 0, other?.rank ?? 0]
  return oneRank >= otherRank
    ? { value, rank: otherRank + 1, left: one, right: other }
    : { value, rank: oneRank + 1, left: other, right: one }
}

const merge = (one: Heap, other: Heap): Heap => {
  if (one === undefined) return other
  if (other === undefined) return one
  return one.value <= other.value
    ? node(one.value, one.left, merge(one.right, other))
    : node(other.value, other.left, merge(one, other.right))
}

export const insert = (heap: Heap, value: number): Heap =>
  merge(heap, { value, rank: 1, left: undefined, right: undefined })

/** Takes values from the top for as long as `gone` says so. */
export const dropWhile = (heap: Heap, gone: (value: number) => boolean): Heap => {
  let rest = heap
  while (rest !== undefined && gone(rest.value)) rest = merge(rest.left, rest.right)
  return rest
}
