/** The actors of one process put together, and how they go on from a log: with a database, in memory and in simulations. */
import { type Duration, Effect, Fiber, Layer, Schedule } from "effect"
import { TaskOutput } from "../daemon/TaskOutput.ts"
import type { DirectiveId, OwnerId } from "../events/Ids.ts"
import { DaemonRegistries } from "./DaemonRegistryActor.ts"
import { Daemons } from "./Daemons.ts"
import { Directives } from "./DirectiveActor.ts"
import type { ActorUnavailable } from "./internal/mailbox.ts"
import { Supervisor } from "./SupervisorActor.ts"

/** The actors on an event log: everything that happens to directives happens here. */
export const layerActors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer, TaskOutput.layer))
)

/** How many directives come up from the log at once. */
const resumesAtOnce = 64

/** How long one of them holds up the others, in milliseconds. Those that fail take seconds, and come up beside them. */
const resumeMillisMax = 250

/** What cannot come up now, as while the store is away, is tried again for so long. Then it is for reconciliation. */
const retryResume = Schedule.max([Schedule.spaced("1 second"), Schedule.during("1 minute")])

/** Goes on with what was under way: these directives, and the daemons of their owners. */
export const resume = Effect.fnUntraced(function*(
  active: ReadonlyArray<{ readonly directiveId: DirectiveId; readonly ownerId: OwnerId }>
) {
  const directives = yield* Directives
  const registries = yield* DaemonRegistries
  const scope = yield* Effect.scope
  const comeUp = <A>(things: Iterable<A>, one: (thing: A) => Effect.Effect<void, ActorUnavailable>) =>
    Effect.forEach(things, (thing) =>
      one(thing).pipe(
        Effect.retry({ while: ({ parked }) => parked === undefined, schedule: retryResume }),
        // One directive's trouble never stops another's.
        Effect.catch((error) => Effect.logError("Something was not resumed", error)),
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.flatMap((fiber) => Effect.timeoutOption(Fiber.await(fiber), resumeMillisMax))
      ), { discard: true, concurrency: resumesAtOnce })
  yield* comeUp(new Set(active.map(({ ownerId }) => ownerId)), registries.resume)
  yield* comeUp(active, ({ directiveId }) => directives.resume(directiveId))
  if (active.length > 0) yield* Effect.logInfo(`${active.length} directives go on from the log`)
})

/** The safety net of spec section 3: looks whether anything was left lying. A healthy system leaves it nothing. */
export const reconcile = Effect.fnUntraced(function*(interval: Duration.Input) {
  const directives = yield* Directives
  const registries = yield* DaemonRegistries
  yield* Effect.sleep(interval).pipe(
    Effect.andThen(Effect.andThen(registries.reconcile, directives.reconcile)),
    Effect.forever,
    Effect.forkScoped
  )
})
