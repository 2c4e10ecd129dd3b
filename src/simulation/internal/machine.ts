/** One simulated process with the runtime in it: the production actors, on virtual time and a simulated store. */
import { Context, Effect, Exit, Layer, Option, Scope, Stream } from "effect"
import type { DaemonRegistries } from "../../actors/DaemonRegistryActor.ts"
import { Daemons } from "../../actors/Daemons.ts"
import type { Directives } from "../../actors/DirectiveActor.ts"
import * as FencedLog from "../../actors/FencedLog.ts"
import { layerActors, reconcile, resume } from "../../actors/layer.ts"
import { Leases, LeaseTimes } from "../../actors/Leases.ts"
import * as MemoryLeases from "../../actors/MemoryLeases.ts"
import { NodeName, PassivationMillis, SnapshotEvents } from "../../actors/SupervisorActor.ts"
import { TaskDirectory } from "../../daemon/DaemonSession.ts"
import type { TaskOutput } from "../../daemon/TaskOutput.ts"
import { EventLog } from "../../events/EventLog.ts"
import { Snapshots } from "../../events/Snapshots.ts"
import type { Assigned, ObservedDaemon } from "../Invariant.ts"
import type { Process } from "./commits.ts"
import { Fibers } from "./fibers.ts"
import type { World } from "./world.ts"

/** What requests and connections have at hand. */
export type Services = Directives | DaemonRegistries | Daemons | TaskOutput | Scope.Scope

/** Far less than in earnest, so that there are snapshots, and actors that leave the memory, in every run. */
const snapshotEvents = 25
const passivationMillis = 240_000
/** Five times those in earnest, which makes for fewer renewals. */
const leaseTimes: LeaseTimes = { renewMillis: 5_000, killedMillis: 15_000, ttlMillis: 40_000 }

export class Machine implements Process {
  readonly name: string
  readonly fibers: Fibers
  readonly #world: World
  readonly #lost = new Set<() => void>()
  readonly #waiting: Array<() => void> = []
  #services: Context.Context<Services> | undefined
  #isServing = false

  constructor(world: World, name: string, incarnation: number) {
    this.name = name
    this.#world = world
    this.fibers = new Fibers(world.time, world.seed, `${name} ${incarnation}`)
    this.fibers.ahead = world.clockAhead
    const { log, snapshots } = world.store.connect(this)
    const leases = world.leases === undefined ? Layer.empty : MemoryLeases.layer(world.leases, { node: name })
    const layer = layerActors.pipe(
      Layer.provide(FencedLog.layer),
      Layer.provideMerge(leases),
      Layer.provideMerge(Layer.mergeAll(
        Layer.succeed(EventLog)(log),
        Layer.succeed(Snapshots)(snapshots),
        Layer.succeed(NodeName)(name),
        Layer.succeed(LeaseTimes)(leaseTimes),
        Layer.succeed(SnapshotEvents)(snapshotEvents),
        Layer.succeed(PassivationMillis)(passivationMillis),
        Layer.succeed(TaskDirectory)((taskId) =>
          Effect.sync(() => Option.fromUndefinedOr(world.ledger.directiveOf(taskId)))
        )
      ))
    )
    const scope = Scope.makeUnsafe()
    this.fibers.fork(
      Effect.map(Layer.buildWithScope(layer, scope), Context.merge(Context.make(Scope.Scope, scope))),
      this.fibers.context,
      (exit) => {
        // What keeps it from starting goes away, and whoever runs it tries again.
        if (Exit.isFailure(exit)) return this.crash()
        this.#begin(Context.merge(this.fibers.context, exit.value))
      }
    )
  }

  /** As `layerRuntime` and `serve`: first it goes on with what was under way, and then it serves. */
  #begin(services: Context.Context<Services>): void {
    this.#services = services
    const { ledger, reconcileMillis, way } = this.#world
    const resumeAll = Effect.gen(function*() {
      const { take, takenOver } = yield* Leases
      const here = yield* take(ledger.active().map(({ ownerId }) => ownerId))
      yield* resume(ledger.active().filter(({ ownerId }) => here.has(ownerId)))
      yield* Effect.forkScoped(
        Stream.runForEach(
          takenOver,
          (owners) => {
            way.takenOver()
            return resume(ledger.active().filter(({ ownerId }) => owners.includes(ownerId)))
          }
        )
      )
    })
    this.fibers.fork(Effect.andThen(resumeAll, reconcile(reconcileMillis)), services, (exit) => {
      if (Exit.isFailure(exit)) return this.crash()
      this.#isServing = true
      for (const run of this.#waiting.splice(0)) run()
    })
    // As `makima serve` does, it starts anew when another has taken over everything from it.
    this.fibers.fork(Effect.flatMap(Leases, ({ lost }) => lost), services, () => {
      this.#world.checks.onLost(this.name, this.fibers.stoodStillMillis)
      this.crash()
    })
  }

  /** Runs something in the process, once it has started. `onLost` is called instead when it dies before that ends. */
  run<A, E>(effect: Effect.Effect<A, E, Services>, onExit: (exit: Exit.Exit<A, E>) => void, onLost: () => void): void {
    if (this.fibers.isDead) return onLost()
    this.#lost.add(onLost)
    const start = () =>
      this.fibers.fork(effect, this.#services!, (exit) => {
        this.#lost.delete(onLost)
        onExit(exit)
      })
    if (!this.#isServing) this.#waiting.push(start)
    else start()
  }

  /** What it believes that these daemons have. */
  assigned(daemons: ReadonlyArray<ObservedDaemon>): ReadonlyArray<Assigned> {
    const services = this.#services
    if (services === undefined) return []
    const book = Context.get(services, Daemons)
    return daemons.flatMap((daemon) =>
      book.assignments(daemon.ownerId, daemon.daemonId).map(({ taskId }) => ({ node: this.name, daemon, taskId }))
    )
  }

  crash(): void {
    if (this.fibers.isDead) return
    this.fibers.die()
    if (this.#world.leases !== undefined) MemoryLeases.kill(this.#world.leases, this.name)
    // Whoever was connected notices in a moment; nothing of the process runs any more.
    for (const lost of this.#lost) this.#world.time.after(1, lost)
    this.#lost.clear()
    this.#world.cluster.died(this)
  }
}
