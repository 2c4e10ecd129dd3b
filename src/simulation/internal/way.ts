/**
 * The way of all processes to the store: closed while the store is away, never quite without delay, and sometimes so long
 * that another takes over before something arrives. What becomes of a commit is for `commits.ts` to say.
 */
import { Exit } from "effect"
import { EventLogError } from "../../events/EventLog.ts"
import type { Chance } from "./chance.ts"
import type { Faults } from "./faults.ts"
import type { Time } from "./time.ts"

export const unreachable = "the store cannot be reached"
export const broken = "the connection was lost"

/** After so long what is on its way arrives, also where nobody takes over. */
const heldUpMillisMax = 90_000

export class Way {
  readonly time: Time
  readonly faults: Faults
  /** Nobody reaches the store until then. */
  closedUntil = 0
  readonly #counts = new Map<string, number>()
  /** What is on its way for so long that another takes over meanwhile. */
  readonly #heldUp: Array<() => void> = []

  constructor(time: Time, faults: Faults) {
    this.time = time
    this.faults = faults
  }

  isClosed(): boolean {
    return this.time.now < this.closedUntil
  }

  /** The same thing may be tried again, and then it is another chance. */
  keyOf(about: string): string {
    const count = (this.#counts.get(about) ?? 0) + 1
    this.#counts.set(about, count)
    return `${about} #${count}`
  }

  /** The worst moment is while the other one has begun to go on with everything, and has not come to this yet. */
  holdUp(chance: Chance, arrive: () => void): void {
    let isOver = false
    const once = () => {
      if (isOver) return
      isOver = true
      arrive()
    }
    const late = chance.is(0.5) ? chance.between(0, 40) : chance.spread(40, 10_000)
    this.#heldUp.push(() => this.time.after(late, once))
    this.time.after(heldUpMillisMax, once)
  }

  /** A process begins to go on with what another had. */
  takenOver(): void {
    for (const arrive of this.#heldUp.splice(0)) arrive()
  }

  /** From now on nothing takes long. */
  calm(): void {
    this.closedUntil = 0
    this.takenOver()
  }
}

/** From the call to the commit, in milliseconds. */
export const latencyOf = (chance: Chance): number => chance.between(0, 3)

export const failure = (method: string, because: string, outcome: "nothing" | "unknown") =>
  Exit.fail(new EventLogError({ method, cause: new Error(because), outcome }))
