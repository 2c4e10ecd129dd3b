/**
 * A simulated daemon: what `LocalDaemon.ts` does, as far as the server can see it. It loses its connection, dies and comes
 * back, and says what is to be said, again where that may have been lost. Its agents are in `agents.ts`.
 */
import type { Report } from "../../daemon/internal/ended.ts"
import * as Outbox from "../../daemon/internal/outbox.ts"
import type { ServerFrame } from "../../daemon/Protocol.ts"
import { type DaemonId, daemonIdOf, type OwnerId, type TaskId } from "../../events/Ids.ts"
import { Agents, type Running } from "./agents.ts"
import type { Chance } from "./chance.ts"
import { Link } from "./link.ts"
import type { World } from "./world.ts"

const heartbeatMillis = 30_000
const silenceMillisMax = 3 * heartbeatMillis

export class SimulatedDaemon {
  readonly name: string
  readonly ownerId: OwnerId
  readonly machineId: string
  readonly hostname: string
  readonly maxConcurrentTasks: number
  readonly daemonId: DaemonId
  /** Virtual milliseconds at which its connection was made. */
  connectedSince = 0
  readonly #world: World
  readonly #agents: Agents
  #link: Link | undefined
  /** The server has taken the connection. */
  #isReady = false
  #isUp = true
  /** It has died for good. */
  #isGone = false
  #connections = 0
  #outbox = Outbox.make(heartbeatMillis)
  /** Whether it asks for acknowledgements, as newer ones do. */
  readonly acknowledgements: boolean
  #heardAt = 0

  constructor(world: World, index: number, ownerId: OwnerId, maxConcurrentTasks: number) {
    this.#world = world
    this.#agents = new Agents(world, this)
    this.name = `daemon ${index}`
    this.ownerId = ownerId
    this.machineId = `machine-${index}`
    this.hostname = `host-${index}`
    this.maxConcurrentTasks = maxConcurrentTasks
    this.daemonId = daemonIdOf(ownerId, this.machineId)
    const { chance } = this.#about("start")
    this.acknowledgements = chance.is(0.7)
    world.time.after(chance.below(5_000), () => this.#connect())
    const beat = () => {
      this.#heartbeat()
      world.time.after(heartbeatMillis, beat)
    }
    world.time.after(chance.below(heartbeatMillis), beat)
  }

  #about(what: string): { readonly about: string; readonly chance: Chance } {
    const about = `${this.name} ${what}`
    return { about, chance: this.#world.faults.chance(about) }
  }

  get running(): ReadonlyMap<TaskId, Running> {
    return this.#agents.running
  }

  /** Its connection, whether the server has taken it or not. */
  get link(): Link | undefined {
    return this.#link
  }

  get isConnected(): boolean {
    return this.#isReady && this.#link?.isWhole === true
  }

  // Connections

  #connect(): void {
    if (!this.#isUp || this.#link !== undefined) return
    const { about, chance } = this.#about(`connection ${this.#connections += 1}`)
    const machine = this.#world.cluster.pick(chance)
    if (machine === undefined) return this.#connectLater()
    this.#isReady = false
    this.#link = new Link(this.#world, this, machine, about)
    this.#outbox.recall(this.#world.time.now)
  }

  #connectLater(): void {
    const { chance } = this.#about(`wait ${this.#connections} ${this.#world.time.now}`)
    this.#world.time.after(chance.between(500, 5_000), () => this.#connect())
  }

  /** The connection has ended, and the daemon knows. */
  lost(link: Link): void {
    if (this.#link !== link) return
    this.#link = undefined
    this.#connectLater()
  }

  cut(): void {
    this.#link?.cut()
  }

  breakSilently(noticesAfter: number): void {
    this.#link?.breakSilently(noticesAfter)
  }

  die(millisAway: number): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#agents.die()
    this.#outbox = Outbox.make(heartbeatMillis)
    const link = this.#link
    this.#link = undefined
    link?.cut()
    if (Number.isFinite(millisAway)) this.#world.time.after(millisAway, () => this.#comeBack())
    else this.#isGone = true
  }

  #comeBack(): void {
    if (this.#isUp || this.#isGone) return
    this.#isUp = true
    this.#connect()
  }

  /** Agents that hang end now. */
  calm(): void {
    this.#comeBack()
    this.#agents.calm()
  }

  // Frames

  receive(link: Link, frame: ServerFrame): void {
    if (this.#link !== link || !this.#isUp) return
    this.#heardAt = this.#world.time.now
    switch (frame.type) {
      case "authenticated":
        this.#isReady = true
        this.connectedSince = this.#world.time.now
        if (this.acknowledgements) this.#flush()
        // The server learns which tasks are still here before it hears how some of them ended, and what is left then.
        this.#heartbeat()
        if (this.#outbox.finals().length === 0) return
        this.#flush()
        return this.#heartbeat()
      case "spawnTask":
        return this.#agents.accept(frame)
      case "interruptTask":
        return this.#agents.interrupt(frame.taskId, frame.graceful)
      case "reported":
        return this.#outbox.reported(frame.taskId, frame.handOver)
      case "heartbeat":
      case "error":
    }
  }

  #heartbeat(): void {
    const link = this.#link
    if (!this.#isUp || !this.#isReady || link === undefined) return
    // Who answers heartbeats and does not any more is gone.
    if (this.acknowledgements && this.#world.time.now - this.#heardAt > silenceMillisMax) return link.cut()
    const ended = this.#outbox.finals().map(({ taskId }) => taskId)
    link.toServer({ type: "heartbeat", activeTasks: [...new Set([...this.running.keys(), ...ended])] })
  }

  // Reports

  report(report: Report): void {
    this.#outbox.report(report)
    this.#flush()
  }

  /** How a hand-over ended, while it remembers that. */
  finalOf(taskId: TaskId, handOver: number): Report | undefined {
    return this.#outbox.finalOf(taskId, handOver)
  }

  #flush(): void {
    if (this.#link === undefined || !this.#isReady) return
    for (const frame of this.#outbox.take(this.#world.time.now, this.acknowledgements)) this.#link.toServer(frame)
  }
}
