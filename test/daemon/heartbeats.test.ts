/** Which heartbeats a server answers that does not reach its lease. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { layerActors } from "../../src/actors/layer.ts"
import { Leases } from "../../src/actors/Leases.ts"
import * as DaemonSession from "../../src/daemon/DaemonSession.ts"
import { HeartbeatMillis } from "../../src/daemon/Protocol.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { ownerId } from "../support/directive.ts"

const layer = Layer.provide(layerActors, EventLog.layerMemory)

/** Whether the heartbeat of a daemon gets an answer, when the lease was renewed so long ago. */
const isAnswered = (heartbeatMillis: number, unansweredMillis: number) =>
  Effect.gen(function*() {
    let answered = false
    const leases = { ...Context.get(Context.empty(), Leases), isValid: () => unansweredMillis < 3_000 }
    const session = yield* DaemonSession.make({
      ownerId,
      machineId: "machine",
      hostname: "machine",
      maxConcurrentTasks: 1,
      acknowledgements: true,
      send: ({ type }) =>
        Effect.sync(() => {
          answered ||= type === "heartbeat"
          return true
        }),
      close: Effect.void
    }).pipe(
      Effect.provideService(Leases, { ...leases, unansweredMillis: () => unansweredMillis }),
      Effect.provideService(HeartbeatMillis, heartbeatMillis)
    )
    yield* session.receive({ type: "heartbeat", activeTasks: [] })
    return answered
  }).pipe(Effect.scoped, Effect.provide(layer))

describe("A heartbeat is answered", () => {
  it.effect("while the lease is valid", () =>
    Effect.gen(function*() {
      assert.isTrue(yield* isAnswered(30_000, 2_000))
      assert.isTrue(yield* isAnswered(60_000, 2_000))
    }))

  it.effect("while the database is away, so that daemons stay for more than a minute", () =>
    Effect.gen(function*() {
      // A daemon gives up a connection after three heartbeats without an answer.
      for (const [heartbeat, seconds] of [[1, 87], [5, 75], [20, 30], [30, 3]] as const) {
        const isKept = (more: number) => isAnswered(heartbeat * 1_000, seconds * 1_000 + more)
        assert.strictEqual(yield* isKept(0), heartbeat < 30)
        assert.isFalse(yield* isKept(1))
      }
    }))

  it.effect("no more where the server was taken over, or stood still and has yet to find out", () =>
    Effect.gen(function*() {
      assert.isFalse(yield* isAnswered(1_000, Infinity))
    }))
})
