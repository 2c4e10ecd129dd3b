/** A daemon whose connection one server passes on to another: how it is ended on one side is how it ends on the other. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import { HttpServer } from "effect/http"
import { streamOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Leases } from "../../src/actors/Leases.ts"
import { NodeName } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { ownerId } from "../support/directive.ts"
import { eventually } from "../support/eventually.ts"
import { connect, hello, layerServer, openSocket } from "./endpointSupport.ts"

/** A server that passes on to the one that the effect is provided with. */
const passing = (limits: Parameters<typeof layerServer>[1] = {}) =>
  Effect.gen(function*() {
    const leases = yield* Leases
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    const locate = () => Effect.succeed({ _tag: "Elsewhere", node: "home", url } as const)
    return yield* Layer.build(
      layerServer(0, limits).pipe(
        Layer.provide([Layer.succeed(Leases)({ ...leases, locate }), Layer.succeed(NodeName)("other")])
      )
    )
  })

/** Why the registry says that daemons went, in order. */
const departures = Effect.gen(function*() {
  const log = yield* EventLog
  const events = yield* Stream.runCollect(log.read(streamOf(ownerId)))
  return events.flatMap(({ event }) => event._tag === "DaemonSuspected" ? [event.reason] : [])
})

const departed = (count: number) =>
  Effect.andThen(eventually(`${count} have gone`, Effect.map(departures, ({ length }) => length === count)), departures)

const live = (
  name: string,
  test: () => Effect.Effect<
    void,
    unknown,
    Layer.Success<ReturnType<typeof layerServer>> | EventLog | ControlledLog.Control | Scope.Scope
  >,
  limits: Parameters<typeof layerServer>[1] = {}
) =>
  it.live(
    name,
    () =>
      test().pipe(Effect.scoped, Effect.provide(layerServer(0, limits).pipe(Layer.provideMerge(ControlledLog.layer))))
  )

describe("A daemon's connection that is passed on", () => {
  live("ends at the server that has the owner as the daemon has ended it", () =>
    Effect.gen(function*() {
      const other = yield* passing()
      for (const [code, reason] of [[1000, ""], [3000, "no more work"], [4001, "bye"]] as const) {
        const before = (yield* departures).length
        const direct = yield* connect()
        yield* direct.closeAs(code, reason)
        const passedOn = yield* departed(before + 1).pipe(
          Effect.andThen(Effect.provideContext(connect(), other))
        )
        yield* passedOn.closeAs(code, reason)
        const [first, second] = (yield* departed(before + 2)).slice(-2)
        assert.strictEqual(second, first)
        assert.include(first, String(code))
      }
    }))

  live(
    "ends at the daemon as the server that has the owner has ended it",
    () =>
      Effect.gen(function*() {
        const other = yield* passing()
        const replaced = yield* Effect.provideContext(connect(), other)
        yield* connect()
        assert.deepStrictEqual(yield* replaced.closed, { code: 1008, reason: "replaced" })
        const refused = yield* Effect.provideContext(openSocket, other)
        yield* refused.send(hello({ machineId: "another" }), ...Array.from({ length: 50 }, () => "flood"))
        assert.deepStrictEqual(yield* refused.closed, { code: 1008, reason: "flood" })
      }),
    { framesPerSecondMax: 10 }
  )

  live("ends with the daemon's silence, and says so", () =>
    Effect.gen(function*() {
      const other = yield* passing({ heartbeatMillis: 100 })
      const silent = yield* Effect.provideContext(connect(), other)
      assert.deepStrictEqual(yield* silent.next, {
        type: "error",
        code: "timeout",
        message: "it was silent for too long"
      })
      assert.deepStrictEqual(yield* silent.closed, { code: 1008, reason: "timeout" })
      assert.include((yield* departed(1))[0], "1008")
    }))

  live(
    "says that the daemon is not there any more where it was the server on the way that ended",
    () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const other = yield* passing({ framesPerSecondMax: 3 }).pipe(Scope.provide(scope))
        const flooding = yield* Effect.provideContext(connect({ machineId: "flooding" }), other)
        yield* flooding.send("a", "b", "c")
        assert.deepStrictEqual(yield* flooding.closed, { code: 1008, reason: "flood" })
        const [flooded] = yield* departed(1)
        assert.include(flooded, "1008")
        yield* Effect.provideContext(connect(), other)
        yield* Scope.close(scope, Exit.void)
        const [, stopped] = yield* departed(2)
        assert.include(stopped, "1001")
      })
  )
})
