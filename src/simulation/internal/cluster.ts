/**
 * The processes on one log, and which of them requests and connections get to. A dead one is started anew; the place of a
 * frozen one is taken by another, which it learns when it goes on.
 */
import { timeText } from "./faults.ts"
import { Machine } from "./machine.ts"
import type { World } from "./world.ts"

export class Cluster {
  readonly #world: World
  #primary: Machine | undefined
  /** Those that were frozen and whose place was taken: they may go on, but nobody comes to them any more. */
  readonly #former = new Set<Machine>()
  #incarnations = 0

  constructor(world: World) {
    this.#world = world
  }

  /** The process that a new request gets to, if any. */
  get primary(): Machine | undefined {
    return this.#primary
  }

  get machines(): ReadonlyArray<Machine> {
    return [...(this.#primary === undefined ? [] : [this.#primary]), ...this.#former]
  }

  start(name = "node-1"): void {
    this.#primary = new Machine(this.#world, name, this.#incarnations += 1)
  }

  died(machine: Machine): void {
    this.#former.delete(machine)
    if (this.#primary !== machine) return
    this.#primary = undefined
    const chance = this.#world.faults.chance(`restart ${this.#incarnations}`)
    const wait = chance.spread(50, 30_000)
    this.#world.time.after(wait, () => {
      if (this.#primary === undefined) this.start(machine.name)
    })
  }

  crash(): void {
    this.#primary?.crash()
  }

  /** It stands still; in most cases another takes its place before it goes on. */
  freeze(about: string): void {
    const frozen = this.#primary
    if (frozen === undefined) return
    const { faults, time } = this.#world
    const chance = faults.chance(`freeze ${about}`)
    const takeOver = chance.is(0.8) ? chance.spread(1_000, 60_000) : undefined
    const millis = chance.spread(1_000, 240_000)
    frozen.fibers.freeze()
    if (takeOver !== undefined) {
      time.after(takeOver, () => {
        if (this.#primary !== frozen) return
        this.#former.add(frozen)
        this.start(frozen.name === "node-1" ? "node-2" : "node-1")
        for (const daemon of this.#world.daemons) daemon.leave(frozen)
        faults.note(`${this.#primary.name} takes the place of ${frozen.name}`)
      })
    }
    time.after(millis, () => {
      if (frozen.fibers.isDead) return
      frozen.fibers.thaw()
      faults.note(`${frozen.name} goes on at ${timeText(time.now)}`)
      // Nobody comes to it any more, and in the end somebody stops it.
      time.after(chance.spread(1_000, 300_000), () => {
        if (this.#former.has(frozen)) frozen.crash()
      })
    })
  }

  /** From now on there is one process, and it runs. */
  calm(): void {
    for (const machine of this.#former) machine.crash()
    this.#primary?.fibers.thaw()
  }
}
