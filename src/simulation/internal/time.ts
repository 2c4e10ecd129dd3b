/**
 * Virtual time: what is to happen, in the order of when. Nothing here waits for anything real.
 *
 * Only when nothing can run any more does the time go on, and then to the next thing that is due at once.
 */
import { Chance, hashOf } from "./chance.ts"

/** Something that will happen. Cancelled, it is nothing. */
export interface Timer {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/** Whoever has something to do now, as the fibers of a machine. */
export interface Runner {
  /** How many things it could do. */
  readonly runnable: number
  /** Does one of them, by chance. */
  readonly step: (chance: Chance) => void
}

/** So much within one instant is a loop that never waits. */
const stepsInInstantMax = 200_000

export class Time {
  /** Milliseconds since the run began. */
  now = 0
  readonly runners: Array<Runner> = []
  readonly #seed: number
  readonly #timers: Array<Timer> = []
  #order = 0
  #failure: { readonly error: unknown } | undefined

  constructor(seed: number) {
    this.#seed = hashOf(seed, "order")
  }

  after(millis: number, run: () => void): Timer {
    const timer = { at: this.now + Math.max(0, millis), order: this.#order++, run }
    this.#push(timer)
    return timer
  }

  /** Nothing more happens: whoever lets things happen gets the error. */
  stop(error: unknown): void {
    this.#failure ??= { error }
  }

  /** Lets things happen until then, or until it is over. */
  run(until: number, isOver: () => boolean): void {
    this.#settle()
    while (!isOver()) {
      const next = this.#timers[0]
      if (next === undefined || next.at > until) {
        this.now = until
        return
      }
      this.now = next.at
      while (this.#timers[0]?.at === this.now) this.#pop().run?.()
      this.#settle()
    }
  }

  /** Runs whatever can run now, in an order that the seed and the instant give. */
  #settle(): void {
    // Each instant has a stream of its own, so that a change in one leaves the others as they are.
    const chance = new Chance(Math.imul(this.#seed ^ this.now, 0x9e3779b1))
    for (let steps = 0;; steps += 1) {
      if (this.#failure !== undefined) throw this.#failure.error
      if (steps > stepsInInstantMax) throw new Error(`Nothing comes to rest at ${this.now} ms: something never waits`)
      const runner = this.#next(chance)
      if (runner === undefined) return
      runner.step(chance)
    }
  }

  /** One of those that can do something, by chance. */
  #next(chance: Chance): Runner | undefined {
    let next: Runner | undefined
    let count = 0
    for (const runner of this.runners) {
      if (runner.runnable === 0) continue
      count += 1
      if (count === 1 || chance.below(count) === 0) next = runner
    }
    return next
  }

  #push(timer: Timer): void {
    const timers = this.#timers
    let at = timers.length
    timers.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(timer, timers[parent]!)) break
      timers[at] = timers[parent]!
      at = parent
    }
    timers[at] = timer
  }

  #pop(): Timer {
    const timers = this.#timers
    const first = timers[0]!
    const last = timers.pop()!
    if (timers.length === 0) return first
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= timers.length) break
      if (child + 1 < timers.length && isBefore(timers[child + 1]!, timers[child]!)) child += 1
      if (!isBefore(timers[child]!, last)) break
      timers[at] = timers[child]!
      at = child
    }
    timers[at] = last
    return first
  }
}

const isBefore = (one: Timer, other: Timer): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order)
