/**
 * What the fibers of one process run on: a scheduler that picks the next of them by chance, and a clock of virtual time.
 *
 * A process can be frozen, which none of its fibers notices, and it can die, which none of them survives: no finalizer
 * runs, nothing is said, exactly as when the machine loses its power.
 */
import { Clock, Context, Duration, Effect, type Exit, type Fiber, Random, References, Scheduler } from "effect"
import { type Chance, chance } from "./chance.ts"
import type { Runner, Time } from "./time.ts"

/** When a run begins, in milliseconds since 1970: the same day for every run. */
export const epoch = Date.UTC(2030, 0, 1)

const nanosPerMilli = 1_000_000n

export class Fibers implements Runner, Scheduler.Scheduler, Scheduler.SchedulerDispatcher, Clock.Clock {
  readonly executionMode = "async"
  readonly context: Context.Context<never>
  readonly #time: Time
  readonly #tasks: Array<() => void> = []
  /** Of lower priority: only when there is nothing else. */
  readonly #later: Array<() => void> = []
  #state: "running" | "frozen" | "dead" = "running"
  #frozenAt = 0
  /** For how long it has been frozen at most. */
  stoodStillMillis = 0
  /** How far its clock is ahead of the time. */
  ahead = 0

  constructor(time: Time, seed: number, name: string) {
    this.#time = time
    const random = chance(seed, `random of ${name}`)
    this.context = Context.empty().pipe(
      Context.add(Scheduler.Scheduler, this),
      Context.add(Clock.Clock, this),
      Context.add(Random.Random, {
        nextIntUnsafe: () => Math.floor((random.next() - 0.5) * Number.MAX_SAFE_INTEGER),
        nextDoubleUnsafe: () => random.next()
      }),
      // Spans have ids that are drawn by chance, and nobody looks at them.
      Context.add(References.TracerEnabled, false),
      Context.add(References.MinimumLogLevel, "None")
    )
    time.runners.push(this)
  }

  get isDead(): boolean {
    return this.#state === "dead"
  }

  get isRunning(): boolean {
    return this.#state === "running"
  }

  die(): void {
    this.#state = "dead"
    this.#tasks.length = 0
    this.#later.length = 0
    this.#time.runners.splice(this.#time.runners.indexOf(this), 1)
  }

  freeze(): void {
    if (this.#state !== "running") return
    this.#state = "frozen"
    this.#frozenAt = this.#time.now
  }

  thaw(): void {
    if (this.#state !== "frozen") return
    this.#state = "running"
    this.stoodStillMillis = Math.max(this.stoodStillMillis, this.#time.now - this.#frozenAt)
  }

  /** Something that happens to the process in a while: later if it is frozen then, and never if it is dead. */
  after(millis: number, run: () => void): () => void {
    let wanted: (() => void) | undefined = run
    const timer = this.#time.after(millis, () => this.scheduleTask(() => wanted?.(), 0))
    return () => {
      timer.run = undefined
      wanted = undefined
    }
  }

  /** Runs an effect in the process. `onExit` is not called if the process dies before. */
  fork<A, E, R>(effect: Effect.Effect<A, E, R>, context: Context.Context<R>, onExit?: (exit: Exit.Exit<A, E>) => void) {
    this.scheduleTask(() => {
      const fiber = Effect.runForkWith(context)(effect)
      if (onExit !== undefined) fiber.addObserver(onExit)
    }, 0)
  }

  // Runner

  get runnable(): number {
    return this.#state === "running" ? this.#tasks.length + this.#later.length : 0
  }

  step(chance: Chance): void {
    const tasks = this.#tasks.length > 0 ? this.#tasks : this.#later
    const at = tasks.length > 1 ? chance.below(tasks.length) : 0
    const task = tasks[at]!
    const last = tasks.pop()!
    if (at < tasks.length) tasks[at] = last
    task()
  }

  // Scheduler

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this
  }

  scheduleTask(task: () => void, priority: number): void {
    if (this.#state === "dead") return
    if (priority > 0) this.#later.push(task)
    else this.#tasks.push(task)
  }

  /** Only who cannot wait asks for this, and nobody here does. */
  flush(): void {}

  // Clock

  currentTimeMillisUnsafe(): number {
    return epoch + this.#time.now + this.ahead
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.currentTimeMillisUnsafe()) * nanosPerMilli
  }

  /** Clocks that jump do not change how much time has passed. */
  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(this.#time.now) * nanosPerMilli
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback((resume) => {
      const cancel = this.after(millis, () => resume(Effect.void))
      return Effect.sync(cancel)
    })
  }
}
