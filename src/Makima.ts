/**
 * The public face of makima-runtime: Layers for hosts that use Effect, and `start` for hosts that do not.
 *
 * This and `main.ts` are where implementations are chosen; the rest of the code knows services only.
 */
import { type Duration, Effect, Exit, Layer, ManagedRuntime, Option, Redacted, Schedule, Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { Directives } from "./actors/DirectiveActor.ts"
import type { CreateDirective, DirectiveAnswer, DirectiveCommand, NewStep } from "./actors/DirectiveCommand.ts"
import * as FencedLog from "./actors/FencedLog.ts"
import { layerActors, reconcile, resume } from "./actors/layer.ts"
import { Leases } from "./actors/Leases.ts"
import * as PostgresLeases from "./actors/PostgresLeases.ts"
import { NodeName, PassivationMillis } from "./actors/SupervisorActor.ts"
import { TaskDirectory } from "./daemon/DaemonSession.ts"
import * as FunctionDaemon from "./daemon/FunctionDaemon.ts"
import type { SpawnTask } from "./daemon/Protocol.ts"
import { EventLog, type RecordedEvent } from "./events/EventLog.ts"
import { DirectiveId, directiveIdOf, OwnerId } from "./events/Ids.ts"
import * as PostgresEventLog from "./events/PostgresEventLog.ts"
import * as PostgresSnapshots from "./events/PostgresSnapshots.ts"
import * as Database from "./postgres/Database.ts"
import { Projections } from "./projections/Projections.ts"
import { ReadModel } from "./projections/ReadModel.ts"
import { type View, view } from "./replay/StateAt.ts"
import { settled, watch } from "./replay/Watch.ts"
import { ApiKeys } from "./server/ApiKeys.ts"

export { layerActors } from "./actors/layer.ts"

/** Owners whose directives belong to one `makima run`: whoever else serves the log leaves them to it. */
export const runOwnerPrefix = "run-"

/** The event log, its snapshots, its read models and the API keys in PostgreSQL. */
export const layerStore = Projections.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(PostgresEventLog.layer, PostgresSnapshots.layer, ReadModel.layer, ApiKeys.layer)
  ),
  Layer.provide(SecureRandom.layerWebCrypto)
)

/** Where a report goes whose task ended before this process started. */
const layerTaskDirectory = Layer.effect(
  TaskDirectory,
  Effect.map(ReadModel, (readModel) => (taskId) =>
    readModel.directiveOfTask(taskId).pipe(
      Effect.map(Option.map(({ directiveId }) => directiveId)),
      // Only the answer that there is no such task may cost a daemon its report.
      Effect.tapError((error) => Effect.logWarning("A task could not be looked up yet", error)),
      Effect.retry(Schedule.spaced("1 second")),
      Effect.orDie
    ))
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

export interface Options {
  /**
   * Where the log lives: `memory` forgets it with the process, a URL is a PostgreSQL of yours, and a data directory has
   * the PostgreSQL that comes with this package.
   */
  readonly store: "memory" | { readonly databaseUrl: string } | { readonly dataDirectory: string }
  /** Whom everything belongs to that this host does. */
  readonly ownerId?: string
  /** What this process is called in the log. Two processes on one log need two names. */
  readonly node?: string
}

/** A task as a host's function gets it. `signal` is aborted when the task is interrupted. */
export interface HostTask extends SpawnTask {
  readonly signal: AbortSignal
  readonly output: (text: string) => void
}

export type Answer = DirectiveAnswer & { readonly position: number }

/** The runtime for a host without Effect. Rejected promises carry the tagged errors that the Layers fail with. */
export interface Makima {
  /** Makes a directive. With an idempotency key, a repeat gives the first one again. */
  createDirective(directive: typeof CreateDirective.Type, idempotencyKey?: string): Promise<Answer>
  addSteps(directiveId: string, steps: ReadonlyArray<NewStep>, idempotencyKey?: string): Promise<Answer>
  /** Any other command. */
  command(directiveId: string, command: DirectiveCommand, idempotencyKey?: string): Promise<Answer>
  /** Has a function do tasks, as a daemon with so many slots. The answer takes the daemon away again. */
  daemon(
    work: (task: HostTask) => Promise<void>,
    options?: { readonly maxConcurrentTasks?: number; readonly machineId?: string }
  ): Promise<() => Promise<void>>
  /** All that happens to a directive, from the first event on, without end. */
  events(directiveId: string): AsyncIterable<RecordedEvent>
  /** Waits until nothing more happens by itself, and gives the directive as it is then. */
  settled(directiveId: string): Promise<View>
  /** Stops everything in order. Nothing that was answered is lost. */
  stop(): Promise<void>
}

/** Starts the runtime in this process. */
export const start = async (options: Options): Promise<Makima> => {
  const ownerId = OwnerId.make(options.ownerId ?? "host")
  const runtime = ManagedRuntime.make(layerOf(options))
  const context = await runtime.context()
  // Daemons go before the actors that their last reports are for.
  const daemons = await runtime.runPromise(Scope.make("parallel"))
  const ask = (directiveId: string, command: DirectiveCommand, commandId?: string) =>
    runtime.runPromise(Effect.gen(function*() {
      const directives = yield* Directives
      const { answer, position } = yield* directives.ask(DirectiveId.make(directiveId), command, {
        ownerId,
        ...(commandId === undefined ? {} : { commandId })
      })
      return { ...answer, position }
    }))

  return {
    createDirective: async (directive, idempotencyKey) => {
      const directiveId = idempotencyKey === undefined
        ? await runtime.runPromise(newDirectiveId)
        : directiveIdOf(ownerId, idempotencyKey)
      return ask(directiveId, { _tag: "CreateDirective", ownerId, ...directive }, idempotencyKey)
    },
    addSteps: (directiveId, steps, idempotencyKey) => ask(directiveId, { _tag: "AddSteps", steps }, idempotencyKey),
    command: ask,
    daemon: async (work, { machineId = "host", maxConcurrentTasks = 4 } = {}) => {
      const scope = await runtime.runPromise(Scope.fork(daemons))
      await runtime.runPromise(
        FunctionDaemon.connect({ ownerId, machineId, maxConcurrentTasks }, fromPromise(work)).pipe(
          Effect.provideService(Scope.Scope, scope)
        )
      )
      return () => runtime.runPromise(Scope.close(scope, Exit.void))
    },
    events: (directiveId) =>
      Stream.toAsyncIterableWith(
        Stream.map(watch(DirectiveId.make(directiveId)), ({ recorded }): RecordedEvent => recorded),
        context
      ),
    settled: (directiveId) => runtime.runPromise(Effect.map(settled(DirectiveId.make(directiveId)), view)),
    stop: async () => {
      await runtime.runPromise(Scope.close(daemons, Exit.void))
      await runtime.dispose()
    }
  }
}

/** Log, actors and whatever the store has for them. Read models are for servers; a host reads the log. */
const layerOf = ({ node = "host", store }: Options) => {
  if (store === "memory") {
    return layerActors.pipe(
      Layer.provideMerge(EventLog.layerMemory),
      // The log is in the same memory, so an actor that left it would not free much.
      Layer.provide(Layer.succeed(PassivationMillis)(Infinity)),
      Layer.provideMerge(SecureRandom.layerWebCrypto),
      Layer.provide(Layer.succeed(NodeName)(node))
    )
  }
  const database = Database.layer(
    "databaseUrl" in store
      ? { url: Redacted.make(store.databaseUrl), dataDirectory: "" }
      : { url: undefined, dataDirectory: store.dataDirectory }
  )
  return layerRuntime({ node }).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto), Layer.provide(database))
}

const fromPromise = (work: (task: HostTask) => Promise<void>): FunctionDaemon.Work => (task, output) =>
  Effect.gen(function*() {
    const context = yield* Effect.context()
    const write = (text: string) => void Effect.runForkWith(context)(output(text))
    yield* Effect.tryPromise({
      try: (signal) => work({ ...task, signal, output: write }),
      catch: (error) => error instanceof Error ? error : new Error(String(error))
    })
  })
