/** What each route does. Shapes are in `Api.ts`, what refusals look like in `rejections.ts`. */
import { Clock, Deferred, Effect, Layer, Option, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpApiBuilder } from "effect/http-api"
import { DaemonRegistries } from "../../actors/DaemonRegistryActor.ts"
import * as Directive from "../../actors/Directive.ts"
import { Directives } from "../../actors/DirectiveActor.ts"
import { MemoryNotFound } from "../../actors/DirectiveCommand.ts"
import { TaskOutput } from "../../daemon/TaskOutput.ts"
import { EventLog, EventLogError } from "../../events/EventLog.ts"
import { DirectiveId, directiveIdOf, type TaskId } from "../../events/Ids.ts"
import type { LoggedEvent } from "../../events/Unreadable.ts"
import { within } from "../../postgres/Patience.ts"
import { Projections } from "../../projections/Projections.ts"
import { ReadModel } from "../../projections/ReadModel.ts"
import { stateAt } from "../../replay/StateAt.ts"
import { why } from "../../replay/Why.ts"
import { Api, CurrentOwner } from "../Api.ts"
import { command, currentTask, directiveNotFound, idempotencyKey, lookUp, reached, unreadable } from "./asking.ts"
import { eventStream } from "./eventStream.ts"
import { refuse } from "./rejections.ts"
import { untilStop } from "./stopping.ts"

const defaultListLimit = 50

const directives = HttpApiBuilder.group(
  Api,
  "directives",
  Effect.fnUntraced(function*(handlers) {
    const random = yield* SecureRandom.SecureRandom
    return handlers.handleAll({
      create: Effect.fnUntraced(function*({ headers, payload }) {
        const ownerId = yield* CurrentOwner
        const key = idempotencyKey(headers)
        const id = key === undefined ? DirectiveId.make(yield* random.uuidV4()) : directiveIdOf(ownerId, key)
        return yield* command(id, { _tag: "CreateDirective", ownerId, ...payload }, headers)
      }),
      list: Effect.fnUntraced(function*({ query: { after, cursor, limit = defaultListLimit, status } }) {
        const ownerId = yield* CurrentOwner
        yield* reached(after)
        const readModel = yield* ReadModel
        return yield* readModel.listDirectives({ ownerId, status, limit, cursor }).pipe(Effect.catch(refuse))
      }),
      get: Effect.fnUntraced(function*({ params, query }) {
        const ownerId = yield* CurrentOwner
        yield* reached(query.after)
        const found = yield* lookUp((readModel) => readModel.directive(ownerId, params.id))
        if (Option.isNone(found)) return yield* directiveNotFound(params.id)
        return { ...found.value, parked: Option.getOrNull(yield* (yield* Directives).parked(params.id)) }
      }),
      update: ({ headers, params, payload }) => command(params.id, { _tag: "UpdateDirective", ...payload }, headers),
      start: ({ headers, params }) => command(params.id, { _tag: "StartDirective" }, headers),
      pause: ({ headers, params }) => command(params.id, { _tag: "PauseDirective" }, headers),
      resume: ({ headers, params }) => command(params.id, { _tag: "ResumeDirective" }, headers),
      archive: ({ headers, params }) => command(params.id, { _tag: "ArchiveDirective" }, headers),
      complete: ({ headers, params }) => command(params.id, { _tag: "CompleteDirective" }, headers),
      addSteps: ({ headers, params, payload }) =>
        command(params.id, { _tag: "AddSteps", steps: "steps" in payload ? payload.steps : [payload] }, headers),
      retryStep: ({ headers, params }) => command(params.id, { _tag: "RetryStep", stepId: params.stepId }, headers),
      skipStep: ({ headers, params }) => command(params.id, { _tag: "SkipStep", stepId: params.stepId }, headers),
      events: ({ headers, params, query, request }) => {
        const last = headers["last-event-id"]
        return eventStream({
          directiveId: params.id,
          from: last === undefined ? query.from ?? 0 : last + 1,
          follow: query.follow ?? false,
          format: /\btext\/event-stream\b/.test(request.headers.accept ?? "") ? "server-sent events" : "lines"
        })
      },
      why: Effect.fnUntraced(function*({ params }) {
        const ownerId = yield* CurrentOwner
        const log = yield* EventLog
        const readModel = yield* ReadModel
        const stream = Directive.streamOf(params.id)
        const past = yield* Stream.runCollect(log.read(stream)).pipe(
          Effect.catchTag("UnreadableEvent", (event) => unreadable(params.id, event)),
          Effect.catch(refuse)
        )
        const state = stateAt(stream, past)
        if (state.ownerId !== ownerId) return yield* directiveNotFound(params.id)
        const fleet = yield* readModel.daemons(ownerId).pipe(Effect.catch(refuse))
        const daemons = fleet.map(({ activeTasks, hostname, id, maxConcurrentTasks, status }) => ({
          daemonId: id,
          hostname,
          status,
          free: status === "connected" ? Math.max(0, maxConcurrentTasks - activeTasks) : 0
        }))
        const parked = Option.getOrUndefined(yield* (yield* Directives).parked(params.id))
        return why(state, daemons, yield* Clock.currentTimeMillis, parked)
      })
    })
  })
)

const memoriesOf = Effect.fnUntraced(function*(directiveId: DirectiveId, after: number | undefined) {
  const ownerId = yield* CurrentOwner
  yield* reached(after)
  const found = yield* lookUp((readModel) => readModel.memories(ownerId, directiveId))
  return Option.isSome(found) ? found.value : yield* directiveNotFound(directiveId)
})

const memories = HttpApiBuilder.group(Api, "memories", (handlers) =>
  handlers.handleAll({
    list: ({ params, query }) => Effect.map(memoriesOf(params.id, query.after), (items) => ({ items })),
    get: Effect.fnUntraced(function*({ params: { id, key }, query }) {
      const memory = (yield* memoriesOf(id, query.after)).find((memory) => memory.key === key)
      return memory ?? (yield* refuse(new MemoryNotFound({ directiveId: id, key })))
    }),
    set: ({ headers, params: { id, key }, payload }) => command(id, { _tag: "SetMemory", key, ...payload }, headers),
    remove: ({ headers, params: { id, key } }) => command(id, { _tag: "RemoveMemory", key }, headers)
  }))

const tasks = HttpApiBuilder.group(Api, "tasks", (handlers) =>
  handlers.handleAll({
    get: ({ params, query }) => Effect.andThen(reached(query.after), currentTask(params.id)),
    output: Effect.fnUntraced(function*({ params, query }) {
      const log = yield* EventLog
      const output = yield* TaskOutput
      yield* reached(query.after)
      // Read before the task, so that its end is either in the one or comes after the other.
      const head = yield* log.head.pipe(Effect.catch(refuse))
      yield* reached(head)
      const task = yield* currentTask(params.id)
      if (query.follow !== true || task.endedAt !== null) {
        return Stream.encodeText(Stream.fromEffect(output.read(params.id)))
      }
      const broken = yield* Deferred.make<never, EventLogError>()
      const end = Stream.runHead(Stream.filter(log.subscribe({ after: head }), ({ event }) => ends(event, params.id)))
        .pipe(
          Effect.tapError((error) => Effect.logError(error.message)),
          // Then nobody knows when the task ends, and what was said of it must not look whole.
          Effect.catch((error) => Effect.andThen(Deferred.fail(broken, error), Effect.never))
        )
      return Stream.encodeText(
        untilStop(Stream.interruptWhen(output.watch(params.id, Effect.asVoid(end)), Deferred.await(broken)))
      ).pipe(Stream.orDie)
    }),
    interrupt: Effect.fnUntraced(function*({ headers, params }) {
      const { directiveId } = yield* currentTask(params.id)
      return yield* command(directiveId, { _tag: "InterruptTask", taskId: params.id }, headers)
    })
  }))

const ends = (event: LoggedEvent["event"], taskId: TaskId): boolean =>
  (event._tag === "TaskCompleted" || event._tag === "TaskFailed" || event._tag === "TaskInterrupted") &&
  event.taskId === taskId

const daemons = HttpApiBuilder.group(Api, "daemons", (handlers) =>
  handlers.handleAll({
    list: Effect.fnUntraced(function*({ query }) {
      const ownerId = yield* CurrentOwner
      yield* reached(query.after)
      const readModel = yield* ReadModel
      const registries = yield* DaemonRegistries
      const items = yield* readModel.daemons(ownerId).pipe(Effect.catch(refuse))
      return { items, parked: Option.getOrNull(yield* registries.parked(ownerId)) }
    }),
    resume: Effect.fnUntraced(function*() {
      const registries = yield* DaemonRegistries
      return { resumed: yield* registries.resumeParked(yield* CurrentOwner).pipe(Effect.catch(refuse)) }
    })
  }))

/** Whoever asks wants to know now: a database that says nothing is not there. */
const readyMillisMax = 1_000

const silence = Effect.fail(new EventLogError({ method: "answer", cause: new Error("the database is silent") }))

const system = HttpApiBuilder.group(Api, "system", (handlers) =>
  handlers.handleAll({
    health: () => Effect.succeed({ status: "ok" as const }),
    ready: () =>
      // Read models that stay behind for good make a server that looks well and answers with the past.
      within(readyMillisMax, Projections.use(({ progress }) => progress), silence).pipe(
        Effect.flatMap(({ head, stopped }) =>
          stopped === undefined ? Effect.succeed({ status: "ready" as const, position: head }) : Effect.fail(stopped)
        ),
        Effect.catch(refuse)
      )
  }))

export const layerHandlers = Layer.mergeAll(directives, memories, tasks, daemons, system)
