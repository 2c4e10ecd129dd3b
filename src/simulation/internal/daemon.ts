/**
 * A simulated daemon: what `LocalDaemon.ts` does, as far as the server can see it, with agents that only take time. It
 * loses its connection, dies and comes back, repeats itself, and says what is not so.
 */
import * as Outbox from "../../daemon/internal/outbox.ts"
import type { DaemonFrame, ServerFrame, SpawnTask } from "../../daemon/Protocol.ts"
import { uuidV5 } from "../../events/Ids.ts"
import { type DaemonId, daemonIdOf, type OwnerId, TaskId } from "../../events/Ids.ts"
import type { Chance } from "./chance.ts"
import { Link } from "./link.ts"
import type { World } from "./world.ts"

type Report = Extract<DaemonFrame, { readonly type: "taskStatusChange" | "taskComplete" }>

interface Running {
  readonly spawn: SpawnTask
  handOver: number
  status: "starting" | "running"
  isInterrupted: boolean
  /** It goes on until somebody stops it. */
  hangs: boolean
}

const heartbeatMillis = 30_000
const silenceMillisMax = 3 * heartbeatMillis

export class SimulatedDaemon {
  readonly name: string
  readonly ownerId: OwnerId
  readonly machineId: string
  readonly hostname: string
  readonly maxConcurrentTasks: number
  readonly daemonId: DaemonId
  readonly #world: World
  readonly running = new Map<TaskId, Running>()
  #link: Link | undefined
  /** The server has taken the connection. */
  #isReady = false
  #isUp = true
  /** It has died for good. */
  #isGone = false
  /** Which life of it this is: what an earlier one had begun is nothing any more. */
  #life = 0
  #connections = 0
  #outbox = Outbox.make(heartbeatMillis)
  /** Whether it asks for acknowledgements, as newer ones do. */
  readonly acknowledgements: boolean
  #heardAt = 0

  constructor(world: World, index: number, ownerId: OwnerId, maxConcurrentTasks: number) {
    this.#world = world
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

  get isConnected(): boolean {
    return this.#isReady && this.#link?.isWhole === true
  }

  /** Hand-overs that are over for it, although it says so much later, or has said so before it had them. */
  readonly #forgotten = new Set<string>()

  connectedSince = 0

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
    this.#life += 1
    this.running.clear()
    this.#forgotten.clear()
    this.#outbox = Outbox.make(heartbeatMillis)
    const link = this.#link
    this.#link = undefined
    link?.cut()
    if (Number.isFinite(millisAway)) this.#world.time.after(millisAway, () => this.comeBack())
    else this.#isGone = true
  }

  comeBack(): void {
    if (this.#isUp || this.#isGone) return
    this.#isUp = true
    this.#connect()
  }

  /** Agents that hang end now. */
  calm(): void {
    this.comeBack()
    for (const task of this.running.values()) {
      if (!task.hangs) continue
      task.hangs = false
      this.#end(task, "well")
    }
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
        return this.#accept(frame)
      case "interruptTask":
        return this.#interrupt(frame.taskId, frame.graceful)
      case "reported":
        return this.#outbox.reported(frame.taskId, frame.handOver)
      case "heartbeat":
      case "error":
    }
  }

  #accept(spawn: SpawnTask): void {
    const { handOver, taskId } = spawn
    const known = this.running.get(taskId)
    if (known !== undefined) {
      known.handOver = Math.max(known.handOver, handOver)
      return this.#report(statusReport(known))
    }
    const ended = this.#outbox.finalOf(taskId, handOver)
    if (ended !== undefined) return this.#report(ended)
    // Whatever else it forgets, no daemon starts a hand-over twice.
    if (this.#forgotten.has(`${taskId} ${handOver}`)) return
    this.#world.checks.onStart(this, spawn)
    if (this.running.size >= this.maxConcurrentTasks) {
      return this.#report({ type: "taskComplete", taskId, success: false, error: "at capacity", handOver })
    }
    this.#start(spawn)
  }

  #start(spawn: SpawnTask): void {
    const { faults, ledger, time } = this.#world
    const about = `${spawn.taskId} ${spawn.handOver}`
    const chance = faults.chance(`agent ${about}`)
    const { kind, round, steps } = ledger.assignmentOf(spawn)
    const work = this.#world.agent({ task: spawn, kind, steps, round, chance })
    const task: Running = {
      spawn,
      handOver: spawn.handOver,
      status: "starting",
      isInterrupted: false,
      hangs: work.ends === "never"
    }
    this.running.set(spawn.taskId, task)
    const life = this.#life
    const isOn = () => this.#life === life && this.running.get(spawn.taskId) === task
    this.#report(statusReport(task))
    if (!faults.strikes("agentSilent", about, () => `${this.name} does not say that ${spawn.taskName} is running`)) {
      time.after(chance.between(5, Math.min(2_000, work.millis)), () => {
        if (!isOn() || task.isInterrupted) return
        task.status = "running"
        this.#report(statusReport(task))
      })
    }
    if (faults.strikes("daemonLies", about, () => `${this.name} says what is not so while it has ${spawn.taskName}`)) {
      time.after(chance.below(work.millis), () => this.#lie(task, chance))
    }
    const begun = time.now
    const commands = [...work.commands]
    const next = () => {
      if (!isOn() || task.isInterrupted) return
      const command = commands.shift()
      if (command === undefined) {
        if (work.ends === "never") return
        return void time.after(begun + work.millis - time.now, () => {
          if (isOn() && !task.isInterrupted) this.#end(task, work.ends === "well" ? "well" : "badly")
        })
      }
      time.after(command.after, () => {
        if (!isOn() || task.isInterrupted) return
        this.#world.client.send({
          directiveId: spawn.directiveId!,
          ownerId: this.ownerId,
          command: command.command,
          commandId: `agent ${about} ${commands.length}`
        }, next)
      })
    }
    next()
  }

  #interrupt(taskId: TaskId, graceful: boolean): void {
    const task = this.running.get(taskId)
    if (task === undefined || task.isInterrupted) return
    task.isInterrupted = true
    const { chance } = this.#about(`interrupt ${taskId}`)
    const life = this.#life
    this.#world.time.after(graceful ? chance.spread(1, 10_000) : 1, () => {
      if (this.#life === life && this.running.get(taskId) === task) this.#end(task, "interrupted")
    })
  }

  /** An agent ends; its daemon may take its time to say so, or forget for a while that it has not said so. */
  #end(task: Running, how: "well" | "badly" | "interrupted"): void {
    const { faults, time } = this.#world
    const { handOver, spawn: { taskId, taskName } } = task
    const about = `${taskId} ${handOver}`
    const final: Report = how === "interrupted"
      ? { type: "taskStatusChange", taskId, oldStatus: task.status, newStatus: "interrupted", handOver }
      : {
        type: "taskComplete",
        taskId,
        success: how === "well",
        handOver,
        ...(how === "well" ? {} : { error: "it failed" })
      }
    const life = this.#life
    const end = () => {
      if (this.#life !== life || this.running.get(taskId) !== task) return
      this.running.delete(taskId)
      this.#report(final)
      if (faults.strikes("reportTwice", about, () => `${this.name} says twice how ${taskName} ended`)) {
        const wait = faults.chance(`again ${about}`).spread(1, 60_000)
        time.after(wait, () => {
          if (this.#life === life) this.#report(final)
        })
      }
    }
    if (
      faults.strikes("reportLate", about, () => `${this.name} forgets ${taskName}, and says much later how it ended`)
    ) {
      this.running.delete(taskId)
      this.#forgotten.add(about)
      return void time.after(faults.chance(`late ${about}`).spread(30_000, 300_000), () => {
        if (this.#life === life) this.#report(final)
      })
    }
    if (faults.strikes("reportDelayed", about, () => `${this.name} takes its time to say how ${taskName} ended`)) {
      return void time.after(faults.chance(`delay ${about}`).spread(10, 30_000), end)
    }
    end()
  }

  /** Says something about tasks that are not its own, that nobody knows, or of a hand-over that never was. */
  #lie(task: Running, chance: Chance): void {
    const others = this.#world.ledger.openTasks().filter((taskId) => !this.running.has(taskId))
    const complete = (taskId: TaskId, handOver: number): DaemonFrame => {
      // It may get that one while this is on its way, and then it has ended by its own account.
      this.#forgotten.add(`${taskId} ${handOver}`)
      return { type: "taskComplete", taskId, success: chance.is(0.5), handOver }
    }
    const unknown = TaskId.make(uuidV5(`unknown ${task.spawn.taskId}`))
    switch (chance.below(4)) {
      case 0:
        return void this.#link?.toServer(complete(unknown, 1))
      case 1:
        if (others.length > 0) this.#link?.toServer(complete(chance.pick(others), chance.between(1, 2)))
        return
      case 2:
        return void this.#link?.toServer(complete(task.spawn.taskId, task.handOver + chance.between(1, 7)))
      default:
        return void this.#link?.toServer({
          type: "heartbeat",
          activeTasks: [...this.running.keys(), unknown, ...others.slice(0, 1)]
        })
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

  #report(report: Report): void {
    this.#outbox.report(report)
    this.#flush()
  }

  #flush(): void {
    if (this.#link === undefined || !this.#isReady) return
    for (const frame of this.#outbox.take(this.#world.time.now, this.acknowledgements)) this.#link.toServer(frame)
  }
}

const statusReport = ({ handOver, spawn: { taskId }, status }: Running): Report => ({
  type: "taskStatusChange",
  taskId,
  oldStatus: status === "starting" ? "pending" : "starting",
  newStatus: status,
  handOver
})
