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

/** Frames in one direction: when the latest of them arrive, in virtual milliseconds. */
interface Lane {
  frames: number
  latest: number
  /** Of the latest that nothing overtakes and that overtakes nothing. */
  barrier: number
  /** Of the latest that was not held up. */
  ordered: number
  readonly ofTasks: Map<string, number>
}

const newLane = (): Lane => ({ frames: 0, latest: 0, barrier: 0, ordered: 0, ofTasks: new Map() })

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
  readonly #up = newLane()
  readonly #down = newLane()

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
      acknowledgements: daemon.acknowledgements,
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
    this.#deliver(this.#up, "taskId" in frame ? frame.taskId : undefined, () => {
      this.#lastFrameAt = this.#world.time.now
      if (!this.#isServed) return
      // They stay in the order in which they came, whenever the process gets round to them.
      this.#inbox.push(frame)
      this.machine.fibers.scheduleTask(() => this.#wake?.(), 0)
    })
  }

  #toDaemon(frame: ServerFrame): boolean {
    if (!this.#isServed) return false
    this.#world.checks.onFrame(this.#daemon, frame, this.machine.name)
    this.#deliver(this.#down, undefined, () => this.#daemon.receive(this, frame))
    return true
  }

  /** Frames arrive in order; only reports of different tasks may overtake each other. */
  #deliver(lane: Lane, task: string | undefined, run: () => void): void {
    const { faults, time } = this.#world
    let delay = this.#delay()
    let after = lane.latest
    if (task !== undefined && lane === this.#up) {
      const about = `${this.#about} ${lane.frames += 1}`
      const text = () => `a report of ${this.#daemon.name} is overtaken by those of other tasks`
      const isHeld = faults.strikes("frameReordered", about, text)
      if (isHeld) delay = this.#chance.between(10, 2_000)
      after = Math.max(lane.barrier, lane.ofTasks.get(task) ?? 0, isHeld ? 0 : lane.ordered)
      lane.ofTasks.set(task, Math.max(after, time.now + delay))
      if (!isHeld) lane.ordered = Math.max(after, time.now + delay)
    }
    const at = Math.max(after, time.now + delay)
    lane.latest = Math.max(lane.latest, at)
    if (task === undefined) {
      lane.barrier = at
      lane.ordered = at
      lane.ofTasks.clear()
    }
    time.after(at - time.now, () => {
      if (this.#isWhole) run()
    })
  }

  #delay(): number {
    return this.#chance.between(0, 5)
  }

  /** Nothing gets through any more, and both sides notice. What was on its way is lost. */
  cut(): void {
    if (!this.#isWhole) return this.#daemon.lost(this)
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
