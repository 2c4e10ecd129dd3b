/**
 * Goal: while PostgreSQL is away in the middle of a run, readiness is red, commands are told so in bounded time and daemons
 * stay connected; when it is back all goes on, with everything that was acknowledged and without anybody's help.
 *
 * Method: a whole server and a daemon that is a WebSocket, on a database behind a proxy that refuses connections, or says
 * nothing more on any of them. AWAY_SECONDS=30 has it be away for longer than the two seconds that do for every day.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Queue, Schedule, Stream } from "effect"
import * as DaemonEndpoint from "../../src/daemon/DaemonEndpoint.ts"
import { HeartbeatMillis, type ServerFrame } from "../../src/daemon/Protocol.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import * as Patience from "../../src/postgres/Patience.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { AnswerMillisMax } from "../../src/server/internal/problems.ts"
import { RequestsPerSecond } from "../../src/server/RateLimit.ts"
import { connection, freshDatabase, layerAdmin } from "../support/postgres.ts"
import { makeProxy } from "../support/proxy.ts"
import { ask, Keys, layerRuntimeOn, newDirective, tell } from "./server.ts"

const awayMillis = Number(process.env["AWAY_SECONDS"] ?? 2) * 1_000
const answerMillisMax = 1_500

class Proxy extends Context.Service<Proxy, Effect.Success<ReturnType<typeof makeProxy>>>()("test/Proxy") {}

const layerServer = Layer.unwrap(Effect.gen(function*() {
  const settings = connection(yield* freshDatabase)
  const proxy = yield* makeProxy(settings)
  return HttpServer.layer({ host: "127.0.0.1", port: 0 }, DaemonEndpoint.layer).pipe(
    Layer.provideMerge(layerRuntimeOn(layerUnmigrated({ ...settings, ...proxy.place }))),
    Layer.provideMerge(Layer.succeed(Proxy)(proxy)),
    Layer.provide([
      Layer.succeed(RequestsPerSecond)(100_000),
      Layer.succeed(HeartbeatMillis)(1_000),
      Layer.succeed(AnswerMillisMax)(answerMillisMax),
      Layer.succeed(Patience.AnswerMillisMax)(answerMillisMax)
    ])
  )
})).pipe(Layer.provide(layerAdmin), Layer.fresh)

/** A daemon that says what the test has it say, and that it is there. */
const openDaemon = Effect.gen(function*() {
  const url = yield* HttpServer.url
  const { alice } = yield* Keys
  const frames = yield* Queue.unbounded<ServerFrame>()
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/ws/daemon`)
  let isClosed = false
  const send = (frame: object) => Effect.sync(() => socket.send(JSON.stringify(frame)))
  socket.addEventListener("message", ({ data }) => Queue.offerUnsafe(frames, JSON.parse(data)))
  socket.addEventListener("close", () => isClosed = true)
  yield* Effect.callback<void>((resume) => socket.addEventListener("open", () => resume(Effect.void)))
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.close()))
  yield* send({ type: "authenticate", apiKey: alice, machineId: "one", hostname: "one", maxConcurrentTasks: 2 })
  const held = new Set<string>()
  yield* Effect.forkScoped(
    Effect.suspend(() => send({ type: "heartbeat", activeTasks: [...held] })).pipe(
      Effect.repeat(Schedule.spaced("200 millis"))
    )
  )
  return {
    isConnected: () => !isClosed,
    next: Effect.gen(function*() {
      while (true) {
        const frame = yield* Queue.take(frames)
        if (frame.type !== "spawnTask") continue
        held.add(frame.taskId)
        return frame
      }
    }),
    complete: ({ handOver, taskId }: Extract<ServerFrame, { type: "spawnTask" }>) => {
      held.delete(taskId)
      return send({ type: "taskComplete", taskId, success: true, handOver })
    }
  }
})

const within = <A, E, R>(what: string, millis: number, effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, { duration: millis, orElse: () => Effect.die(new Error(`not in time: ${what}`)) })

const turns = (status: number) =>
  ask("GET /readyz", { as: "nobody" }).pipe(
    Effect.map((answer) => answer.status),
    Effect.repeat({ until: (found) => found === status, schedule: Schedule.spaced("50 millis") })
  )

const goesOn = (how: "whileRefusing" | "whileSilent") =>
  Effect.gen(function*() {
    const proxy = yield* Proxy
    const daemon = yield* openDaemon
    const id = yield* newDirective()
    const step = (name: string, dependsOn: ReadonlyArray<string>) => ({ key: name, name, dependsOn })
    yield* tell(`POST /api/v1/directives/${id}/steps`, {
      body: { steps: [step("a", []), step("b", ["a"]), step("c", ["b"])] }
    })
    yield* tell(`POST /api/v1/directives/${id}/start`)
    const first = yield* daemon.next
    const command = ask(`PUT /api/v1/directives/${id}/memories/key`, {
      body: { value: "kept" },
      headers: { "idempotency-key": "remember" }
    })

    const away = Effect.gen(function*() {
      yield* within("readiness is red", 2_000, turns(503))
      const refused = yield* within("the command is refused", answerMillisMax + 1_000, command)
      assert.deepStrictEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
      // What it has done is news that the server has yet to write down.
      yield* daemon.complete(first)
      yield* Effect.sleep(awayMillis)
      assert.strictEqual((yield* ask("GET /readyz", { as: "nobody" })).status, 503)
      assert.strictEqual((yield* ask("GET /healthz", { as: "nobody" })).status, 200)
    })
    yield* proxy[how](away)

    yield* within("readiness is green", 15_000, turns(200))
    assert.isTrue(daemon.isConnected())
    yield* within(
      "the command is answered",
      15_000,
      Effect.repeat(command, { until: ({ status }) => status === 200, schedule: Schedule.spaced("100 millis") })
    )
    for (const name of ["b", "c"]) {
      const task = yield* within(`${name} is handed over`, 20_000, daemon.next)
      assert.include(task.taskName, name)
      yield* daemon.complete(task)
    }
    const shown = ask(`GET /api/v1/directives/${id}`)
    const end = yield* within(
      "the directive is idle",
      15_000,
      Effect.repeat(shown, { until: ({ body }) => body.status === "idle", schedule: Schedule.spaced("50 millis") })
    )
    assert.deepStrictEqual(end.body.tasks.map(({ status }: { status: string }) => status), Array(3).fill("completed"))
    assert.isTrue(daemon.isConnected())
    const log = yield* EventLog
    const events = yield* Stream.runCollect(Stream.map(log.readAll(), ({ event }) => event._tag))
    // Nobody is at fault, so nobody is left out, and the daemon was never away.
    for (const tag of ["ActorParked", "DaemonSuspected", "HandOverFailed"]) assert.notInclude(events, tag)
    assert.strictEqual(events.filter((tag) => tag === "MemorySet").length, 1)
  }).pipe(Effect.scoped, Effect.provide(layerServer), Effect.provide(Logger.layer([])))

describe("A server whose PostgreSQL is away in the middle of a run", { timeout: awayMillis + 90_000 }, () => {
  it.live("because it refuses connections, goes on when it is back", () => goesOn("whileRefusing"))

  it.live("because it says nothing more, goes on when it is back", () => goesOn("whileSilent"))
})
