/** A parked actor is seen over HTTP, says what to do, and is resumed by who may. */
import { NodeCrypto } from "@effect/platform-node"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { DaemonRegistries, streamOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { SupervisorPolicy } from "../../src/actors/SupervisorActor.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { daemonIdOf } from "../../src/events/Ids.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { Broken, layerSupervisor } from "../support/broken.ts"
import { alice, ask, layerWorld, newDirective, tell } from "./server.ts"

const runtime = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(layerSupervisor, Daemons.layer, TaskOutput.layer)),
  Layer.provideMerge(layerWorld),
  Layer.provide(Layer.succeed(SupervisorPolicy, { ...defaultPolicy, restartDelayMillis: 1 }))
)
const server = HttpServer.layer({ host: "127.0.0.1", port: 0 }, Layer.empty).pipe(
  Layer.provideMerge(runtime),
  Layer.provide([Layer.succeed(RequestsPerSecond, 100_000), NodeCrypto.layerSecureRandom])
)

/** Asks for something until it is refused because of a park. */
const untilParked = (route: string) =>
  ask(route, { body: {} }).pipe(
    Effect.repeat({ until: ({ body, status }) => status === 503 && body.error.code === "ActorParked" })
  )

describe("A parked actor", () => {
  layer(server, { excludeTestServices: true })((it) => {
    it.effect("of a directive is shown, refuses with what to do, and runs again when it is resumed", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const broken = yield* Broken
        const id = yield* newDirective()
        const address = Directive.streamOf(id)
        assert.isNull((yield* tell(`GET /api/v1/directives/${id}`)).parked)
        assert.isNull((yield* tell(`GET /api/v1/directives/${id}/why`)).parked)

        broken.set(address, "decide")
        const refused = yield* untilParked(`POST /api/v1/directives/${id}/start`)
        const { error } = refused.body
        assert.match(
          error.message,
          /failed too often and is parked since \d{4}-.*, until it is resumed: it has a defect; the server's log says which/
        )
        assert.include(error.message, `\`makima directive resume ${id}\` lets it run again`)
        const { parked } = yield* tell(`GET /api/v1/directives/${id}`)
        assert.deepStrictEqual(parked, error.details.parked)
        // What the defect says is in the log, and nothing that anybody is told.
        assert.strictEqual(parked.cause, "it has a defect; the server's log says which")
        const why = yield* tell(`GET /api/v1/directives/${id}/why`)
        assert.deepStrictEqual(why.parked, parked)
        assert.match(
          why.directive,
          /^Its actor failed too often and is parked since .*: it has a defect; the server's log says which\. `makima/
        )
        assert.strictEqual((yield* ask(`POST /api/v1/directives/${id}/resume`, { as: "bob", body: {} })).status, 404)

        const failing = yield* ask(`POST /api/v1/directives/${id}/resume`, { body: {} })
        assert.strictEqual(failing.status, 503)
        yield* untilParked(`POST /api/v1/directives/${id}/start`)

        broken.delete(address)
        assert.strictEqual((yield* ask(`POST /api/v1/directives/${id}/start`, { body: {} })).status, 503)
        const resumed = yield* tell(`POST /api/v1/directives/${id}/resume`, { body: {} })
        assert.include(resumed, { status: "draft", note: "its actor was parked and runs again" })
        const started = yield* tell(`POST /api/v1/directives/${id}/start`, { body: {} })
        assert.strictEqual(started.status, "active")
        assert.notProperty(yield* tell(`POST /api/v1/directives/${id}/resume`, { body: {} }), "note")
        assert.isNull((yield* tell(`GET /api/v1/directives/${id}?after=${started.position}`)).parked)
        const told = yield* Stream.runCollect(log.read("supervisor-local"))
        const ofIt = told.filter(({ event }) => "address" in event && event.address === address)
        assert.strictEqual(ofIt.filter(({ event }) => event._tag === "ActorParked").length, 2)
        const failures = ofIt.flatMap(({ event }) => event._tag === "ActorFailed" ? [event.cause] : [])
        assert.include(failures[0], "Error: a defect in decide")
        const resumptions = ofIt.filter(({ event }) => event._tag === "ActorResumed")
        assert.strictEqual(resumptions.length, 2)
        for (const { correlationId } of resumptions) assert.isDefined(correlationId)
      }))

    it.effect("that keeps track of an owner's daemons is shown, and runs again when it is resumed", () =>
      Effect.gen(function*() {
        const registries = yield* DaemonRegistries
        const broken = yield* Broken
        const daemonId = daemonIdOf(alice, "laptop")
        const connect = registries.ask(alice, {
          _tag: "Connect",
          daemonId,
          machineId: "laptop",
          hostname: "laptop",
          maxConcurrentTasks: 1
        })
        broken.set(streamOf(alice), "decide")
        const { parked } = yield* Effect.flip(connect).pipe(
          Effect.repeat({ until: ({ parked }) => parked !== undefined })
        )
        assert.deepStrictEqual(yield* tell("GET /api/v1/daemons"), { items: [], parked })
        assert.isNull((yield* tell("GET /api/v1/daemons", { as: "bob" })).parked)
        broken.delete(streamOf(alice))
        assert.isDefined((yield* Effect.flip(connect)).parked)
        assert.deepStrictEqual(yield* tell("POST /api/v1/daemons/resume"), { resumed: true })
        assert.deepStrictEqual(yield* connect, { wasKnown: false })
        assert.deepStrictEqual(yield* tell("POST /api/v1/daemons/resume"), { resumed: false })
      }))
  })
})
