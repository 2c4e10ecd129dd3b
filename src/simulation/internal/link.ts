/**
 * The connection of a daemon to a process: what `DaemonEndpoint.ts` has over a WebSocket, with delays, and with ends that
 * one side, or both, do not notice.
 */
import { Effect, Exit, type Scope } from "effect"
import * as DaemonSession from "../../daemon/DaemonSession.ts"
import type { DaemonFrame, ServerFrame } from "../../daemon/Protocol.ts"
import type { Chance } from "./chance.ts"
import type { SimulatedDaemon } from "./daemon.ts"
import type { Machine } from "./machine.ts"
import type { World } from "./world.ts"

/** Three missed heartbeats. */
const silenceMillisMax = 90_000

export class Link {
  readonly machine: Machine
  readonly #world: World
  readonly #daemon: SimulatedDaemon
  readonly #chance: Chance
  readonly #about: string
  /** Frames that have arrived at the process and wait for it. */
  readonly #inbox: Array<DaemonFrame> = []
  #wake: (() => void) | undefined
  /** The process takes it for open. */
  #isServed = true
  /** Frames get through. */
  #isWhole = true
  #lastFrameAt: number
  #endedBecause = "the connection ended"
  /** When the latest frame of each task arrives, so that those of one task keep their order. */
  readonly #arrivals = new Map<string, number>()
  #frames = 0

  constructor(world: World, daemon: SimulatedDaemon, machine: Machine, about: string) {
    this.#world = world
    this.#daemon = daemon
    this.machine = machine
    this.#about = about
    this.#chance = world.faults.chance(`link ${about}`)
    this.#lastFrameAt = world.time.now
    const { hostname, machineId, maxConcurrentTasks, ownerId } = daemon
    const connection: DaemonSession.Connection = {
      ownerId,
      hostname,
      machineId,
      maxConcurrentTasks,
      send: (frame) => Effect.sync(() => this.#toDaemon(frame)),
      close: Effect.sync(() => this.#close("another connection has taken the place of this one"))
    }
    const serve = Effect.gen({ self: this }, function*() {
      const session = yield* DaemonSession.make(connection)
      yield* this.#listen(session).pipe(
        Effect.onExit((exit) => session.end(Exit.isSuccess(exit) ? this.#endedBecause : "the server stops"))
      )
    })
    world.time.after(
      this.#delay(),
      () => machine.run(serve, () => this.#close("the connection ended"), () => this.cut())
    )
    this.#watch()
  }

  get isWhole(): boolean {
    return this.#isWhole
  }

  #listen(session: DaemonSession.DaemonSession): Effect.Effect<void, never, Scope.Scope> {
    const arrival = Effect.callback<void>((resume) => {
      this.#wake = () => {
        this.#wake = undefined
        resume(Effect.void)
      }
    })
    return Effect.gen({ self: this }, function*() {
      const begun = yield* Effect.exit(session.begin)
      // The daemon comes back, and its registry may then be there again.
      if (Exit.isFailure(begun)) return this.#close("the registry was not there")
      while (this.#isServed) {
        const frame = this.#inbox.shift()
        if (frame !== undefined) yield* session.receive(frame)
        else yield* arrival
      }
    })
  }

  /** Lost, without a word, when the connection has ended and the daemon has not noticed yet. */
  toServer(frame: DaemonFrame): void {
    if (!this.#isWhole) return
    this.#deliver("taskId" in frame ? frame.taskId : "heartbeat", () => {
      this.#lastFrameAt = this.#world.time.now
      if (!this.#isServed) return
      this.machine.fibers.scheduleTask(() => {
        this.#inbox.push(frame)
        this.#wake?.()
      }, 0)
    })
  }

  #toDaemon(frame: ServerFrame): boolean {
    if (!this.#isServed) return false
    this.#world.checks.onFrame(this.#daemon, frame)
    this.#deliver("taskId" in frame ? frame.taskId : "other", () => this.#daemon.receive(this, frame))
    return true
  }

  #deliver(task: string, run: () => void): void {
    const { faults, time } = this.#world
    const about = `${this.#about} ${this.#frames += 1}`
    const isFree = faults.strikes(
      "frameReordered",
      about,
      () => `a frame of ${this.#daemon.name} is overtaken by others`
    )
    const delay = isFree ? this.#chance.between(10, 2_000) : this.#delay()
    const line = isFree ? task : "all"
    const at = Math.max(time.now + delay, this.#arrivals.get(task) ?? 0, isFree ? 0 : this.#arrivals.get("all") ?? 0)
    this.#arrivals.set(task, at)
    this.#arrivals.set(line, at)
    time.after(at - time.now, () => {
      if (this.#isWhole) run()
    })
  }

  #delay(): number {
    return this.#chance.between(0, 5)
  }

  /** Nothing gets through any more, and both sides notice. What was on its way is lost. */
  cut(): void {
    if (!this.#isWhole) return
    this.#isWhole = false
    this.#serverNotices("the connection broke")
    this.#daemon.lost(this)
  }

  /** Nothing gets through any more, and it takes a while until anybody notices. */
  breakSilently(daemonNoticesAfter: number): void {
    if (!this.#isWhole) return
    this.#isWhole = false
    this.#world.time.after(daemonNoticesAfter, () => this.#daemon.lost(this))
  }

  /** The process ends the connection, and the daemon hears so. */
  #close(because: string): void {
    if (!this.#isServed) return
    this.#serverNotices(because)
    const wasWhole = this.#isWhole
    this.#isWhole = false
    if (wasWhole) this.#world.time.after(this.#delay(), () => this.#daemon.lost(this))
  }

  #serverNotices(because: string): void {
    this.#endedBecause = because
    this.machine.fibers.scheduleTask(() => {
      this.#isServed = false
      this.#wake?.()
    }, 0)
  }

  /** As the endpoint does, the process ends a connection that has been silent for too long. */
  #watch(): void {
    const { time } = this.#world
    time.after(this.#lastFrameAt + silenceMillisMax - time.now, () => {
      if (!this.#isServed) return
      if (time.now - this.#lastFrameAt >= silenceMillisMax) this.#serverNotices("it was silent for too long")
      else this.#watch()
    })
  }
}
