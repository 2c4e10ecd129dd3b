/**
 * The agents of one simulated daemon, which only take time and give commands: from the hand-over of a task to the report of
 * how it ended, which may come late, or twice. The connection that reports go over is the daemon's.
 */
import type { Report } from "../../daemon/internal/ended.ts"
import type { SpawnTask } from "../../daemon/Protocol.ts"
import type { TaskId } from "../../events/Ids.ts"
import type { Work } from "../Agent.ts"
import type { Chance } from "./chance.ts"
import type { SimulatedDaemon } from "./daemon.ts"
import { lieOf } from "./lies.ts"
import type { World } from "./world.ts"

export interface Running {
  readonly spawn: SpawnTask
  handOver: number
  status: "starting" | "running"
  isInterrupted: boolean
  /** It goes on until somebody stops it. */
  hangs: boolean
}

export class Agents {
  readonly running = new Map<TaskId, Running>()
  readonly #world: World
  readonly #daemon: SimulatedDaemon
  /** Hand-overs that are over for the daemon, although it says so much later, or has said so before it had them. */
  readonly #forgotten = new Set<string>()
  /** Which life of the daemon this is: what an earlier one had begun is nothing any more. */
  #life = 0

  constructor(world: World, daemon: SimulatedDaemon) {
    this.#world = world
    this.#daemon = daemon
  }

  /** They die with their daemon, which remembers nothing. */
  die(): void {
    this.#life += 1
    this.running.clear()
    this.#forgotten.clear()
  }

  /** Those that hang end now, unless their tasks have ended already: then they have to be told. */
  calm(): void {
    for (const task of this.running.values()) {
      if (!task.hangs || this.#world.ledger.currentOf(task.spawn.taskId) === undefined) continue
      task.hangs = false
      this.#end(task, "well")
    }
  }

  accept(spawn: SpawnTask): void {
    const { handOver, taskId } = spawn
    const known = this.running.get(taskId)
    if (known !== undefined) {
      known.handOver = Math.max(known.handOver, handOver)
      return this.#daemon.report(statusReport(known))
    }
    const ended = this.#daemon.finalOf(taskId, handOver)
    if (ended !== undefined) return this.#daemon.report(ended)
    // Whatever else it forgets, no daemon starts a hand-over twice.
    if (this.#forgotten.has(`${taskId} ${handOver}`)) return
    this.#world.checks.onStart(this.#daemon, spawn)
    if (this.running.size >= this.#daemon.maxConcurrentTasks) {
      return this.#daemon.report({ type: "taskComplete", taskId, success: false, error: "at capacity", handOver })
    }
    this.#start(spawn)
  }

  interrupt(taskId: TaskId, graceful: boolean): void {
    const task = this.running.get(taskId)
    if (task === undefined || task.isInterrupted) return
    task.isInterrupted = true
    const chance = this.#world.faults.chance(`${this.#daemon.name} interrupt ${taskId}`)
    const isOn = this.#isOn(task)
    this.#world.time.after(graceful ? chance.spread(1, 10_000) : 1, () => {
      if (isOn()) this.#end(task, "interrupted")
    })
  }

  #start(spawn: SpawnTask): void {
    const { faults, ledger, time } = this.#world
    const { name } = this.#daemon
    const about = `${spawn.taskId} ${spawn.handOver}`
    const chance = faults.chance(`agent ${about}`)
    const work = this.#world.agent({ task: spawn, ...ledger.assignmentOf(spawn), chance })
    const task: Running = {
      spawn,
      handOver: spawn.handOver,
      status: "starting",
      isInterrupted: false,
      hangs: work.ends === "never"
    }
    this.running.set(spawn.taskId, task)
    const isOn = this.#isOn(task)
    this.#daemon.report(statusReport(task))
    if (!faults.strikes("agentSilent", about, () => `${name} does not say that ${spawn.taskName} is running`)) {
      time.after(chance.between(5, Math.min(2_000, work.millis)), () => {
        if (!isOn() || task.isInterrupted) return
        task.status = "running"
        this.#daemon.report(statusReport(task))
      })
    }
    if (faults.strikes("daemonLies", about, () => `${name} says what is not so while it has ${spawn.taskName}`)) {
      time.after(chance.below(work.millis), () => this.#lie(task, chance))
    }
    this.#work(task, work)
  }

  /** Whether it still runs, in the same life of its daemon. */
  #isOn(task: Running): () => boolean {
    const life = this.#life
    return () => this.#life === life && this.running.get(task.spawn.taskId) === task
  }

  /** Gives one command after the answer to the other, and ends in its time, if it does. */
  #work(task: Running, work: Work): void {
    const { client, time } = this.#world
    const { directiveId, handOver, taskId } = task.spawn
    const isOn = this.#isOn(task)
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
        client.send({
          directiveId: directiveId!,
          ownerId: this.#daemon.ownerId,
          command: command.command,
          commandId: `agent ${taskId} ${handOver} ${commands.length}`
        }, next)
      })
    }
    next()
  }

  /** An agent ends; its daemon may take its time to say so, or forget for a while that it has not said so. */
  #end(task: Running, how: "well" | "badly" | "interrupted"): void {
    const { faults, time } = this.#world
    const { name } = this.#daemon
    const { handOver, spawn: { taskId, taskName } } = task
    const about = `${taskId} ${handOver}`
    const final = finalReport(task, how)
    const isOn = this.#isOn(task)
    const life = this.#life
    const reportAgain = () => {
      if (this.#life === life) this.#daemon.report(final)
    }
    const end = () => {
      if (!isOn()) return
      this.running.delete(taskId)
      this.#daemon.report(final)
      if (faults.strikes("reportTwice", about, () => `${name} says twice how ${taskName} ended`)) {
        time.after(faults.chance(`again ${about}`).spread(1, 60_000), reportAgain)
      }
    }
    if (faults.strikes("reportLate", about, () => `${name} forgets ${taskName}, and says much later how it ended`)) {
      this.running.delete(taskId)
      this.#forgotten.add(about)
      return void time.after(faults.chance(`late ${about}`).spread(30_000, 300_000), reportAgain)
    }
    if (faults.strikes("reportDelayed", about, () => `${name} takes its time to say how ${taskName} ended`)) {
      return void time.after(faults.chance(`delay ${about}`).spread(10, 30_000), end)
    }
    end()
  }

  #lie(task: Running, chance: Chance): void {
    const { link } = this.#daemon
    const lie = lieOf(chance, task, this.running, this.#world.ledger.openTasks())
    if (link === undefined || lie === undefined) return
    // It may get that one while this is on its way, and then it has ended by its own account.
    if (lie.type === "taskComplete") this.#forgotten.add(`${lie.taskId} ${lie.handOver}`)
    link.toServer(lie)
  }
}

const statusReport = ({ handOver, spawn: { taskId }, status }: Running): Report => ({
  type: "taskStatusChange",
  taskId,
  oldStatus: status === "starting" ? "pending" : "starting",
  newStatus: status,
  handOver
})

const finalReport = (
  { handOver, spawn: { taskId }, status }: Running,
  how: "well" | "badly" | "interrupted"
): Report =>
  how === "interrupted"
    ? { type: "taskStatusChange", taskId, oldStatus: status, newStatus: "interrupted", handOver }
    : {
      type: "taskComplete",
      taskId,
      success: how === "well",
      handOver,
      ...(how === "well" ? {} : { error: "it failed" })
    }
