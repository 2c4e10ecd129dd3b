/**
 * The public face of makima-runtime: Layers for hosts that use Effect, and `start` for hosts that do not.
 *
 * This, `Runtime.ts` and `main.ts` are where implementations are chosen; the rest of the code knows services only.
 */
import { Context, Effect, Exit, Layer, ManagedRuntime, Redacted, Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { Directives } from "./actors/DirectiveActor.ts"
import type { CreateDirective, DirectiveAnswer, DirectiveCommand, NewStep } from "./actors/DirectiveCommand.ts"
import { layerActors } from "./actors/layer.ts"
import { Leases } from "./actors/Leases.ts"
import { NodeName, PassivationMillis } from "./actors/SupervisorActor.ts"
import * as FunctionDaemon from "./daemon/FunctionDaemon.ts"
import type { SpawnTask } from "./daemon/Protocol.ts"
import { EventLog, type RecordedEvent } from "./events/EventLog.ts"
import { DirectiveId, directiveIdOf, OwnerId } from "./events/Ids.ts"
import * as Database from "./postgres/Database.ts"
import { type View, view } from "./replay/StateAt.ts"
import { settled, watch } from "./replay/Watch.ts"
import { layerRuntime, newDirectiveId } from "./Runtime.ts"

export { layerActors } from "./actors/layer.ts"
export { layerRuntime, layerStore, newDirectiveId, runOwnerPrefix } from "./Runtime.ts"

export interface Options {
  /**
   * Where the log lives: `memory` forgets it with the process, a URL is a PostgreSQL of yours, and a data directory has
   * the PostgreSQL that comes with this package.
   */
  readonly store: "memory" | { readonly databaseUrl: string } | { readonly dataDirectory: string }
  /** Whom everything belongs to that this host does. */
  readonly ownerId?: string
  /**
   * What this process is called in the log. Two processes on one log need two names, and an owner is at one of them: the
   * other refuses what is asked for it.
   */
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
  const attached = new Set<Attached>()
  let isStopping = false

  /** A runtime, which lasts until it is stopped, or another process takes over from it and it starts anew. */
  const begin = async () => {
    const runtime = ManagedRuntime.make(layerOf(options))
    const context = await runtime.context()
    // Daemons go before the actors that their last reports are for.
    const daemons = await runtime.runPromise(Scope.make("parallel"))
    const end = async () => {
      await runtime.runPromise(Scope.close(daemons, Exit.void))
      await runtime.dispose()
    }
    const attach = async (daemon: Attached) => {
      const scope = await runtime.runPromise(Scope.fork(daemons))
      const { work, ...connection } = daemon
      daemon.scope = scope
      await runtime.runPromise(
        FunctionDaemon.connect({ ownerId, ...connection }, work).pipe(Effect.provideService(Scope.Scope, scope))
      )
    }
    const untilLost = async () => {
      const lost = Context.get(context, Leases).lost
      await runtime.runPromise(Effect.flatMap(lost, (why) => Effect.logWarning(`${why}; it starts anew`)))
      if (isStopping) return
      life = end().then(begin)
      // Whoever asks next hears that it did not come up again.
      await life.catch(() => undefined)
    }
    // It is interrupted when the runtime is stopped.
    untilLost().catch(() => undefined)
    for (const daemon of attached) await attach(daemon)
    return { runtime, context, end, attach }
  }
  let life = begin()
  await life

  const run = async <A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> => (await life).runtime.runPromise(effect)
  /** For what only reads: a new runtime can say it as well. */
  const look = async <A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> => {
    const current = life
    try {
      return await run(effect)
    } catch (error) {
      if (current === life) throw error
      return look(effect)
    }
  }
  const ask = (directiveId: string, command: DirectiveCommand, commandId?: string) =>
    run(Effect.gen(function*() {
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
        ? await run(newDirectiveId)
        : directiveIdOf(ownerId, idempotencyKey)
      return ask(directiveId, { _tag: "CreateDirective", ownerId, ...directive }, idempotencyKey)
    },
    addSteps: (directiveId, steps, idempotencyKey) => ask(directiveId, { _tag: "AddSteps", steps }, idempotencyKey),
    command: ask,
    daemon: async (work, { machineId = "host", maxConcurrentTasks = 4 } = {}) => {
      const daemon: Attached = { work: fromPromise(work), machineId, maxConcurrentTasks, scope: undefined }
      await (await life).attach(daemon)
      attached.add(daemon)
      return async () => {
        attached.delete(daemon)
        const { scope } = daemon
        if (scope !== undefined) await run(Scope.close(scope, Exit.void))
      }
    },
    events: async function*(directiveId) {
      let seen = 0
      while (true) {
        const current = life
        const { context } = await current
        const events = Stream.map(watch(DirectiveId.make(directiveId)), ({ recorded }): RecordedEvent => recorded)
        try {
          for await (const recorded of Stream.toAsyncIterableWith(events, context)) {
            if (recorded.position > seen) yield recorded
            seen = Math.max(seen, recorded.position)
          }
          return
        } catch (error) {
          if (current === life) throw error
        }
      }
    },
    settled: (directiveId) => look(Effect.map(settled(DirectiveId.make(directiveId)), view)),
    stop: async () => {
      isStopping = true
      await (await life).end()
    }
  }
}

/** A daemon of the host, which every runtime that follows another has as well. */
interface Attached {
  readonly work: FunctionDaemon.Work
  readonly machineId: string
  readonly maxConcurrentTasks: number
  scope: Scope.Closeable | undefined
}

type Services = Layer.Success<typeof layerActors> | EventLog | SecureRandom.SecureRandom

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
