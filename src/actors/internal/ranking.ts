/**
 * Things by their load, the least loaded first, and of equals the one that was known first. It is a heap in which each
 * thing knows its place, so that a change costs the logarithm of how many there are.
 */

export interface Ranked {
  load: number
  readonly sequence: number
  /** Where it is in the heap; -1 when it is not in it. */
  place: number
}

export const isBefore = (one: Ranked, other: Ranked): boolean =>
  one.load < other.load || (one.load === other.load && one.sequence < other.sequence)

export class Ranking<A extends Ranked> {
  readonly #heap: Array<A> = []

  /** Its load has changed, or it is new here. */
  put(thing: A): void {
    if (thing.place < 0) {
      thing.place = this.#heap.length
      this.#heap.push(thing)
    }
    this.#rise(thing)
    this.#sink(thing)
  }

  remove(thing: A): void {
    if (thing.place < 0) return
    const last = this.#heap.pop()!
    if (last !== thing) {
      this.#set(last, thing.place)
      this.#rise(last)
      this.#sink(last)
    }
    thing.place = -1
  }

  /** The first one that is not passed over. What it costs depends on how many are. */
  first(isPassedOver: (thing: A) => boolean): A | undefined {
    let best: A | undefined
    const places = [0]
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const thing = this.#heap[place]
      // Nothing below it comes before it.
      if (thing === undefined || (best !== undefined && isBefore(best, thing))) continue
      if (isPassedOver(thing)) places.push(2 * place + 1, 2 * place + 2)
      else best = thing
    }
    return best
  }

  #set(thing: A, place: number): void {
    this.#heap[place] = thing
    thing.place = place
  }

  #rise(thing: A): void {
    while (thing.place > 0) {
      const above = this.#heap[(thing.place - 1) >> 1]!
      if (!isBefore(thing, above)) return
      this.#swap(thing, above)
    }
  }

  #sink(thing: A): void {
    while (true) {
      const [left, right] = [this.#heap[2 * thing.place + 1], this.#heap[2 * thing.place + 2]]
      if (left === undefined) return
      const below = right !== undefined && isBefore(right, left) ? right : left
      if (!isBefore(below, thing)) return
      this.#swap(thing, below)
    }
  }

  #swap(one: A, other: A): void {
    const { place } = one
    this.#set(one, other.place)
    this.#set(other, place)
  }
}
