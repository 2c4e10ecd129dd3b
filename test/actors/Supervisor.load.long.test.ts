/**
 * Goal: a defect in one directive touches no other. Method: many directives in one process do what they do, once with one
 * among them that always breaks and once without; every other one has the same events in both. What a broken directive
 * itself leaves in the log is checked only as far as that it is parked.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { DirectiveCommand } from "../../src/actors/DirectiveCommand.ts"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { SupervisorPolicy } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { DirectiveId, OwnerId, uuidV5 } from "../../src/events/Ids.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { Broken, layerSupervisor, type Place } from "../support/broken.ts"
import { layerDatabase } from "../support/postgres.ts"

const ownerId = OwnerId.make("ada")

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(layerSupervisor, Daemons.layer))
)

const idOf = (number: number) => DirectiveId.make(uuidV5(`directive ${number}`))
const brokenOne = 7

/** It takes some seconds, and more where others want the processor too. */
const patienceMillis = 120_000

/** What people do with each of them, all at once. */
const steps: ReadonlyArray<DirectiveCommand> = [
  { _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello", start: true },
  { _tag: "AddSteps", steps: [{ key: "a", name: "a" }, { name: "b", dependsOn: ["a"] }] }
]

/** How many events of each kind every directive has in the end, by its stream. */
const eventsOf = (count: number, place: Place | undefined) =>
  Effect.gen(function*() {
    const directives = yield* Directives
    const log = yield* EventLog
    const broken = yield* Broken
    const numbers = Array.from({ length: count }, (_, index) => index)
    const live = (number: number) =>
      Effect.forEach(
        // All run, and some have more to do than others.
        number % 10 === 0 ? steps : steps.slice(0, 1),
        (command) => directives.ask(idOf(number), command, { ownerId }),
        { discard: true }
      )
    if (place !== undefined) {
      yield* directives.ask(idOf(brokenOne), steps[0]!, { ownerId })
      broken.set(Directive.streamOf(idOf(brokenOne)), place)
      const remember = { _tag: "SetMemory", key: "tests", value: "npm test" } as const
      const refused = Effect.flip(Effect.forever(directives.ask(idOf(brokenOne), remember, { ownerId })))
      yield* Effect.forkChild(
        Effect.repeat(refused, { until: (error) => error._tag === "ActorUnavailable" && error.parked !== undefined })
      )
    }
    const others = numbers.filter((number) => number !== brokenOne)
    yield* Effect.forEach(others, live, { discard: true, concurrency: "unbounded" })
    if (place !== undefined) {
      const parked = Effect.andThen(Effect.sleep("5 millis"), directives.parked(idOf(brokenOne)))
      yield* Effect.repeat(parked, { until: Option.isSome })
    }
    // Once it is parked, they go on.
    yield* Effect.forEach(others.filter((number) => number % 10 === 0), (number) =>
      directives.ask(idOf(number), { _tag: "UpdateDirective", title: "Greet everybody" }, { ownerId }), {
      discard: true,
      concurrency: "unbounded"
    })
    const streams = new Map<string, Array<string>>()
    yield* Stream.runForEach(log.readAll(), ({ event, stream }) =>
      Effect.sync(() => {
        const known = streams.get(stream)
        if (known === undefined) {
          streams.set(stream, [event._tag])
        } else known.push(event._tag)
      }))
    streams.delete(Directive.streamOf(idOf(brokenOne)))
    const supervisor = streams.get("supervisor-local")!
    streams.delete("supervisor-local")
    return {
      streams,
      parked: supervisor.filter((tag) =>
        tag === "ActorParked"
      ).length
    }
  }).pipe(
    Effect.provide(Layer.fresh(actors)),
    Effect.provideService(SupervisorPolicy, { ...defaultPolicy, restartDelayMillis: 1 })
  )

const suite = (
  name: string,
  count: number,
  places: ReadonlyArray<Place>,
  log: Layer.Layer<EventLog, unknown>
) =>
  describe(`${count} directives with one that always breaks, ${name}`, () => {
    const run = (place: Place | undefined) => eventsOf(count, place).pipe(Effect.provide(Layer.fresh(log)))

    it.live.each(places)("run as if it were not there when it breaks in %s", (place) =>
      Effect.gen(function*() {
        const without = yield* run(undefined)
        const withIt = yield* run(place)
        assert.strictEqual(withIt.parked, 1)
        assert.strictEqual(without.parked, 0)
        assert.strictEqual(withIt.streams.size, count - 1)
        for (const [stream, events] of without.streams) assert.deepStrictEqual(withIt.streams.get(stream), events)
      }), patienceMillis)
  })

suite("in memory", 10_000, ["decide"], EventLog.layerMemory)
suite("in memory", 500, ["evolve", "react"], EventLog.layerMemory)
suite("in PostgreSQL", 200, ["decide"], PostgresEventLog.layer.pipe(Layer.provide(layerDatabase)))
