/**
 * The processes on one log. A dead one is started anew; what a frozen one had is taken over by another, by its leases, which
 * it learns when it goes on.
 */
import type { Chance } from "./chance.ts"
import { Machine } from "./machine.ts"
import type { World } from "./world.ts"

export class Cluster {
  readonly #world: World
  readonly #machines = new Map<string, Machine>()
  #incarnations = 0

  constructor(world: World, names: ReadonlyArray<string>) {
    this.#world = world
    for (const name of names) this.#start(name)
  }

  /** The processes that live, frozen ones included. */
  get machines(): ReadonlyArray<Machine> {
    return [...this.#machines.values()]
  }

  isUp(name: string): boolean {
    return this.#machines.get(name)?.fibers.isRunning === true
  }

  /** A process that something gets to, if there is one. */
  pick(chance: Chance): Machine | undefined {
    const machines = this.machines
    return machines.length > 1 ? chance.pick(machines) : machines[0]
  }

  #start(name: string): void {
    this.#machines.set(name, new Machine(this.#world, name, this.#incarnations += 1))
  }

  died(machine: Machine): void {
    const { faults, time } = this.#world
    if (this.#machines.get(machine.name) !== machine) return
    this.#machines.delete(machine.name)
    const wait = faults.areOver
      ? 1_000
      : faults.chance(`restart ${machine.name} ${this.#incarnations}`).spread(50, 30_000)
    time.after(wait, () => {
      if (!this.#machines.has(machine.name)) this.#start(machine.name)
    })
  }

  crash(chance: Chance): void {
    this.pick(chance)?.crash()
  }

  freeze(chance: Chance): void {
    const frozen = this.pick(chance)
    if (frozen === undefined) return
    frozen.fibers.freeze()
    this.#world.time.after(chance.spread(1_000, 240_000), () => frozen.fibers.thaw())
  }

  /** From now on all of them run. */
  calm(): void {
    for (const { fibers } of this.machines) fibers.thaw()
  }
}
