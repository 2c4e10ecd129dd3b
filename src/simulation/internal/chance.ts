/**
 * Seeded chance, in streams that are named by what they are about. What is drawn for one thing does not depend on how much
 * is drawn for another, so that leaving one fault out of a run changes no other choice.
 */

export class Chance {
  #state: number

  constructor(state: number) {
    this.#state = state
  }

  /** From 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end)
  }

  /** A whole number, both ends included. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1)
  }

  /** Between both ends, small ones as likely as large ones: for times that span orders of magnitude. */
  spread(min: number, max: number): number {
    return Math.round(min * (max / min) ** this.next())
  }

  is(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(from: ReadonlyArray<A>): A {
    return from[this.below(from.length)]!
  }
}

/** The stream of a seed that is about something. */
export const chance = (seed: number, about: string): Chance => new Chance(hashOf(seed, about))

/** FNV-1a over the text, started and mixed so that seeds next to each other have nothing in common. */
export const hashOf = (seed: number, text: string): number => {
  let hash = mixed(0x811c9dc5 ^ seed ^ Math.imul(Math.floor(seed / 4_294_967_296), 0x9e3779b1))
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mixed(hash)
}

const mixed = (value: number): number => {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
