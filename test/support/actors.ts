/** The actors of a server on a log that a test controls, and what tests ask them. */
import { Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { DirectiveCommand, NewStep } from "../../src/actors/DirectiveCommand.ts"
import { NodeName, Supervisor } from "../../src/actors/SupervisorActor.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { DirectiveId } from "../../src/events/Ids.ts"
import * as ControlledLog from "./controlledLog.ts"
import { directiveId, ownerId } from "./directive.ts"

export const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer))
)
export const runtime = actors.pipe(Layer.provideMerge(ControlledLog.layer))
/** One life of a server on a log that outlives it. */
export const server = (name = "local") => Layer.fresh(actors).pipe(Layer.provide(Layer.succeed(NodeName)(name)))

export const stream = Directive.streamOf(directiveId)
export const otherId = DirectiveId.make("99999999-0000-4000-8000-000000000000")
export const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

export const ask = (command: DirectiveCommand, id = directiveId, commandId?: string) =>
  Effect.flatMap(
    Directives,
    (directives) => directives.ask(id, command, { ownerId, ...(commandId === undefined ? {} : { commandId }) })
  )

export const create = Effect.fnUntraced(function*(steps: ReadonlyArray<NewStep>, id = directiveId) {
  yield* ask({ _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" }, id)
  yield* ask({ _tag: "AddSteps", steps }, id)
  yield* ask({ _tag: "StartDirective" }, id)
})

export const eventsOf = (id = directiveId) =>
  Effect.flatMap(
    EventLog,
    (log) => Stream.runCollect(Stream.map(log.read(Directive.streamOf(id)), ({ event }) => event as DirectiveEvent))
  )
export const tagsOf = (id = directiveId) => Effect.map(eventsOf(id), (events) => events.map(({ _tag }) => _tag))
export const statusOf = (id = directiveId) =>
  Effect.map(eventsOf(id), (events) => events.reduce(Directive.evolve, Directive.empty(Directive.streamOf(id))).status)

export const chain: ReadonlyArray<NewStep> = [{ key: "a", name: "a" }, { key: "b", name: "b", dependsOn: ["a"] }]
