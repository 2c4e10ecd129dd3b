/** The whole runtime of a process on a database, as Layers. */
import { type Duration, Effect, Layer, Option, Schedule, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import * as FencedLog from "./actors/FencedLog.ts"
import { layerActors, reconcile, resume } from "./actors/layer.ts"
import { Leases } from "./actors/Leases.ts"
import * as PostgresLeases from "./actors/PostgresLeases.ts"
import { NodeName } from "./actors/SupervisorActor.ts"
import { TaskDirectory } from "./daemon/DaemonSession.ts"
import { EventLog } from "./events/EventLog.ts"
import { DirectiveId, type OwnerId } from "./events/Ids.ts"
import * as PostgresEventLog from "./events/PostgresEventLog.ts"
import * as PostgresSnapshots from "./events/PostgresSnapshots.ts"
import { Projections } from "./projections/Projections.ts"
import { ReadModel } from "./projections/ReadModel.ts"
import { ApiKeys } from "./server/ApiKeys.ts"

/** Owners whose directives belong to one `makima run`: whoever else serves the log leaves them to it. */
export const runOwnerPrefix = "run-"

/** The event log, its snapshots, its read models and the API keys in PostgreSQL. */
export const layerStore = Projections.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(PostgresEventLog.layer, PostgresSnapshots.layer, ReadModel.layer, ApiKeys.layer)
  ),
  Layer.provide(SecureRandom.layerWebCrypto)
)

/** Where a report goes whose directive does not run here (yet). */
const layerTaskDirectory = Layer.effect(
  TaskDirectory,
  Effect.gen(function*() {
    const log = yield* EventLog
    const projections = yield* Projections
    const readModel = yield* ReadModel
    return Effect.fnUntraced(
      function*(taskId, ownerId) {
        const known = yield* readModel.directiveOfTask(taskId)
        // A server that has just ended may have made it, and its daemon is here before the read models know.
        if (Option.isNone(known)) yield* projections.awaitPosition(yield* log.head)
        const found = Option.isSome(known) ? known : yield* readModel.directiveOfTask(taskId)
        const own = Option.filter(found, (directive) => directive.ownerId === ownerId)
        return Option.map(own, ({ directiveId }) => directiveId)
      },
      // Only the answer that there is no such task may cost a daemon its report.
      Effect.tapError((error) => Effect.logWarning("A task could not be looked up yet", error)),
      Effect.retry(Schedule.spaced("1 second")),
      Effect.orDie
    )
  })
)

/** Goes on with what was under way of the owners that this process has. */
const resumeAll = Effect.gen(function*() {
  const leases = yield* Leases
  const readModel = yield* ReadModel
  const active = yield* readModel.activeDirectives({ exceptOwnerPrefix: runOwnerPrefix })
  const here = yield* leases.take(active.map(({ ownerId }) => ownerId))
  yield* resume(active.filter(({ ownerId }) => here.has(ownerId)))
})

/** The same for owners of a process that has ended, which may have been at work to the last moment. */
const resumeTakenOver = Effect.fnUntraced(function*(owners: ReadonlyArray<OwnerId>) {
  const log = yield* EventLog
  const projections = yield* Projections
  const readModel = yield* ReadModel
  yield* Effect.logWarning(`${owners.length} owners were taken over from a server that has ended`)
  const taken = new Set(owners)
  const active = yield* log.head.pipe(
    Effect.tap((head) => projections.awaitPosition(head)),
    Effect.andThen(readModel.activeDirectives({ exceptOwnerPrefix: runOwnerPrefix })),
    Effect.tapError((error) => Effect.logWarning("What was taken over does not go on yet", error)),
    Effect.retry(Schedule.spaced("1 second"))
  )
  yield* resume(active.filter(({ ownerId }) => taken.has(ownerId)))
})

/** The whole runtime on a migrated database, without a server. */
export const layerRuntime = (options: {
  /** What this process is called in the log. */
  readonly node: string
  readonly reconcile?: Duration.Input
  /**
   * Whether this is one of several processes that divide all owners among them, and goes on with what the log holds of
   * those that it gets. Otherwise only what is asked for happens here, and nobody else may be asked for it.
   */
  readonly shared?: boolean
}) => {
  const shared = options.shared ?? true
  return Layer.effectDiscard(Effect.gen(function*() {
    if (shared) {
      const { takenOver } = yield* Leases
      yield* resumeAll
      yield* Effect.forkScoped(Stream.runForEach(takenOver, resumeTakenOver))
    }
    yield* reconcile(options.reconcile ?? reconcileDefault)
  })).pipe(
    Layer.provideMerge(layerActors.pipe(Layer.provide(FencedLog.layer))),
    Layer.provideMerge(layerTaskDirectory),
    Layer.provideMerge(shared ? PostgresLeases.layer({ node: options.node }) : Layer.empty),
    Layer.provideMerge(layerStore),
    Layer.provide(Layer.succeed(NodeName)(options.node))
  )
}

const reconcileDefault = "15 seconds"

/** A new id for a directive that comes without an idempotency key. */
export const newDirectiveId = Effect.flatMap(
  SecureRandom.SecureRandom,
  (random) => Effect.map(random.uuidV4(), (id) => DirectiveId.make(id))
)
