/** One simulated process with the runtime in it: the production actors, on virtual time and a simulated store. */
import { Context, Effect, Exit, Layer, Option, Scope } from "effect"
import type { DaemonRegistries } from "../../actors/DaemonRegistryActor.ts"
import type { Daemons } from "../../actors/Daemons.ts"
import type { Directives } from "../../actors/DirectiveActor.ts"
import { layerActors, reconcile, resume } from "../../actors/layer.ts"
import { NodeName, PassivationMillis, SnapshotEvents } from "../../actors/SupervisorActor.ts"
import { TaskDirectory } from "../../daemon/DaemonSession.ts"
import type { TaskOutput } from "../../daemon/TaskOutput.ts"
import { EventLog } from "../../events/EventLog.ts"
import { Snapshots } from "../../events/Snapshots.ts"
import { Fibers } from "./fibers.ts"
import type { Process } from "./store.ts"
import type { World } from "./world.ts"

/** What requests and connections have at hand. */
export type Services = Directives | DaemonRegistries | Daemons | TaskOutput | Scope.Scope

/** Far less than in earnest, so that there are snapshots, and actors that leave the memory, in every run. */
const snapshotEvents = 25
const passivationMillis = 240_000

export class Machine implements Process {
  readonly name: string
  readonly fibers: Fibers
  readonly #world: World
  readonly #lost = new Set<() => void>()
  readonly #waiting: Array<() => void> = []
  #services: Context.Context<Services> | undefined

  constructor(world: World, name: string, incarnation: number) {
    this.name = name
    this.#world = world
    this.fibers = new Fibers(world.time, world.seed, `${name} ${incarnation}`)
    this.fibers.ahead = world.clockAhead
    const { log, snapshots } = world.store.connect(this)
    const layer = layerActors.pipe(
      Layer.provideMerge(Layer.mergeAll(
        Layer.succeed(EventLog)(log),
        Layer.succeed(Snapshots)(snapshots),
        Layer.succeed(NodeName)(name),
        Layer.succeed(SnapshotEvents)(snapshotEvents),
        Layer.succeed(PassivationMillis)(passivationMillis),
        Layer.succeed(TaskDirectory)((taskId) =>
          Effect.sync(() => Option.fromUndefinedOr(world.ledger.directiveOf(taskId)))
        )
      ))
    )
    const scope = Scope.makeUnsafe()
    this.fibers.fork(
      Effect.gen(function*() {
        const services = yield* Layer.buildWithScope(layer, scope)
        const context = Context.merge(services, Context.make(Scope.Scope, scope))
        return context
      }),
      this.fibers.context,
      (exit) => {
        if (Exit.isFailure(exit)) throw new Error(`${name} did not start: ${String(exit.cause)}`)
        this.#begin(Context.merge(this.fibers.context, exit.value))
      }
    )
  }

  /** It serves requests from the start, while it goes on with what was under way. */
  #begin(services: Context.Context<Services>): void {
    this.#services = services
    this.fibers.fork(
      Effect.andThen(resume(this.#world.ledger.active()), reconcile(this.#world.reconcileMillis)),
      services
    )
    for (const run of this.#waiting.splice(0)) run()
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
    if (this.#services === undefined) this.#waiting.push(start)
    else start()
  }

  crash(): void {
    if (this.fibers.isDead) return
    this.fibers.die()
    // Whoever was connected notices in a moment; nothing of the process runs any more.
    for (const lost of this.#lost) this.#world.time.after(1, lost)
    this.#lost.clear()
    this.#world.cluster.died(this)
  }
}
