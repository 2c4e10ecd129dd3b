/**
 * Goal: a healthy agent is never given up, and whatever is gone is noticed. Method: long times in virtual time with
 * sessions that have no socket; real sockets, processes and a cable that is pulled where the socket matters, with short
 * heartbeats. Not checked here: what the rules make of a loss (`DaemonRegistry.test.ts`, `Directive.handOver.test.ts`).
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DaemonRegistries, streamOf as registryOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { makeCable } from "../support/cable.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { eventually } from "../support/eventually.ts"
import { isRunning } from "../support/processes.ts"
import { connectSession } from "../support/sessionDaemon.ts"
import { connect, create, type InServer, layerServer, portOf, resume, status } from "./endpointSupport.ts"
import { startLocalDaemon, temporaryDirectory, written } from "./localSupport.ts"

const stream = Directive.streamOf(directiveId)
const tagsOf = (stream: string) =>
  Effect.flatMap(EventLog, (log) => Stream.runCollect(Stream.map(log.read(stream), ({ event }): string => event._tag)))
const happens = (tag: string, of = stream) => eventually(tag, Effect.map(tagsOf(of), (tags) => tags.includes(tag)))

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer, TaskOutput.layer))
)
/** One life of a server on a log that outlives it. */
const server = Layer.fresh(actors)

const settle = Effect.repeat(TestClock.adjust(0), { times: 5 })
const pass = (time: Parameters<typeof TestClock.adjust>[0]) => Effect.andThen(settle, TestClock.adjust(time))

/** The task was handed over once, nobody was lost, and it is done. */
const isUnharmed = Effect.gen(function*() {
  yield* settle
  const tags = yield* tagsOf(stream)
  assert.strictEqual(tags.filter((tag) => tag === "TaskHandedOver").length, 1)
  assert.notInclude(tags, "HandOverFailed")
  assert.strictEqual(tags.at(-1), "DirectiveIdled")
  assert.notInclude(yield* tagsOf(registryOf(ownerId)), "DaemonLost")
})

describe("A healthy agent is not given up", () => {
  it.effect("when it takes 60 seconds to boot, and its daemon says nothing of it until then", () =>
    Effect.gen(function*() {
      const daemon = yield* connectSession(ownerId, "one")
      yield* create("a")
      const task = yield* daemon.nextTask
      yield* pass("60 seconds")
      yield* daemon.report(task, "starting")
      yield* pass("60 seconds")
      yield* daemon.report(task, "running")
      yield* daemon.report(task, "completed")
      yield* isUnharmed
    }).pipe(Effect.scoped, Effect.provide(server), Effect.provide(ControlledLog.layer)))

  it.effect("when it is silent for 10 minutes while its daemon's heartbeats come", () =>
    Effect.gen(function*() {
      const daemon = yield* connectSession(ownerId, "one")
      yield* create("a")
      const task = yield* daemon.nextTask
      yield* daemon.report(task, "running")
      yield* pass("10 minutes")
      assert.strictEqual(yield* Queue.size(daemon.frames), 0)
      yield* daemon.report(task, "completed")
      yield* isUnharmed
    }).pipe(Effect.scoped, Effect.provide(server), Effect.provide(ControlledLog.layer)))

  it.effect("when the network is gone for 90 seconds, noticed or not", () =>
    Effect.gen(function*() {
      const first = yield* connectSession(ownerId, "one")
      yield* create("a")
      const task = yield* first.nextTask
      yield* first.report(task, "running")
      yield* first.end
      yield* pass("90 seconds")
      assert.strictEqual((yield* tagsOf(registryOf(ownerId))).at(-1), "DaemonSuspected")
      const second = yield* connectSession(ownerId, "one", [task.taskId])
      yield* pass("10 minutes")
      yield* second.vanish
      yield* pass("90 seconds")
      const third = yield* connectSession(ownerId, "one", [task.taskId])
      yield* second.end
      yield* pass("10 minutes")
      yield* third.report(task, "completed")
      yield* isUnharmed
    }).pipe(Effect.scoped, Effect.provide(server), Effect.provide(ControlledLog.layer)))

  it.effect("when the server restarts and is away for 60 seconds, or for a day", () =>
    Effect.gen(function*() {
      const task = yield* Effect.gen(function*() {
        const daemon = yield* connectSession(ownerId, "one")
        yield* create("a")
        const task = yield* daemon.nextTask
        yield* daemon.report(task, "running")
        yield* settle
        return task
      }).pipe(Effect.scoped, Effect.provide(server))
      for (const away of ["60 seconds", "1 day"] as const) {
        yield* TestClock.adjust(away)
        yield* Effect.gen(function*() {
          yield* resume
          // The daemon waits up to five seconds between two attempts to connect.
          yield* pass("5 seconds")
          const daemon = yield* connectSession(ownerId, "one", [task.taskId])
          yield* pass("10 minutes")
          if (away === "1 day") yield* daemon.report(task, "completed")
          yield* settle
        }).pipe(Effect.scoped, Effect.provide(server))
      }
      yield* isUnharmed
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("when its machine connects anew before the old connection is noticed to be dead", () =>
    Effect.gen(function*() {
      const first = yield* connectSession(ownerId, "one")
      yield* create("a")
      const task = yield* first.nextTask
      yield* first.report(task, "running")
      yield* settle
      yield* first.vanish
      const second = yield* connectSession(ownerId, "one", [task.taskId])
      yield* pass("80 seconds")
      yield* first.end
      yield* pass("10 minutes")
      assert.deepStrictEqual(yield* tagsOf(registryOf(ownerId)), ["DaemonConnected", "DaemonConnected"])
      yield* second.report(task, "completed")
      yield* isUnharmed
    }).pipe(Effect.scoped, Effect.provide(server), Effect.provide(ControlledLog.layer)))
})

const heartbeatMillis = 300
const inServer = <A>(use: InServer<A>, graceMillis = 900) =>
  Effect.scoped(use).pipe(
    Effect.provide(layerServer(0, { heartbeatMillis, graceMillis })),
    Effect.provide([ControlledLog.layer, NodeServices.layer])
  )

/** Another daemon that shows that it is here, and gets what the first one does not have any more. */
const another = Effect.gen(function*() {
  const daemon = yield* connect({ machineId: "other" })
  const tasks: Array<string> = []
  const beat = Effect.suspend(() => daemon.send({ type: "heartbeat", activeTasks: tasks }))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(heartbeatMillis), beat)))
  return { ...daemon, nextTask: Effect.tap(daemon.nextTask, ({ taskId }) => Effect.sync(() => tasks.push(taskId))) }
})

/** A daemon in a process of its own, which is there and gets a task, and does nothing about it. */
const idler = (port: number) => `
const socket = new WebSocket("ws://127.0.0.1:${port}/ws/daemon")
const tasks = []
const send = (frame) => socket.send(JSON.stringify(frame))
const rest = { hostname: "host", maxConcurrentTasks: 4 }
socket.onopen = () => send({ type: "authenticate", apiKey: "key-of-${ownerId}", machineId: "machine", ...rest })
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data)
  if (frame.type === "spawnTask") {
    tasks.push(frame.taskId)
    send({ type: "taskStatusChange", taskId: frame.taskId, oldStatus: "pending", newStatus: "running", handOver: frame.handOver })
  }
  if (frame.type === "authenticated") send({ type: "heartbeat", activeTasks: tasks })
}
setInterval(() => socket.readyState === 1 && send({ type: "heartbeat", activeTasks: tasks }), ${heartbeatMillis})
`

/** Starts that process, with a task, and gives it. */
const startIdler = Effect.fnUntraced(function*(port: number) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, ["-e", idler(port)], { stdio: "ignore" })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  yield* happens("StepStarted")
  return child
})

describe("What is gone is noticed", () => {
  it.live("a process that is killed: at once", () =>
    inServer(Effect.gen(function*() {
      yield* create("a")
      const child = yield* startIdler(yield* portOf)
      const since = Date.now()
      child.kill("SIGKILL")
      yield* happens("DaemonSuspected", registryOf(ownerId))
      assert.isBelow(Date.now() - since, 3 * heartbeatMillis)
      const other = yield* another
      assert.strictEqual((yield* other.nextTask).handOver, 2)
      assert.include(yield* tagsOf(registryOf(ownerId)), "DaemonLost")
    })))

  it.live("a machine that is gone, with no word to anybody: after three heartbeats", () =>
    inServer(Effect.gen(function*() {
      const cable = yield* makeCable(yield* portOf)
      yield* create("a")
      yield* startIdler(cable.port)
      yield* cable.pull
      const other = yield* another
      assert.strictEqual((yield* other.nextTask).handOver, 2)
      const reasons = yield* Effect.flatMap(
        EventLog,
        (log) =>
          Stream.runCollect(
            Stream.map(log.read(registryOf(ownerId)), ({ event }) =>
              event._tag === "DaemonSuspected" ? event.reason : undefined)
          )
      )
      assert.include(reasons, "it was silent for too long")
    })))

  it.live("a daemon whose connection is open and silent", () =>
    inServer(Effect.gen(function*() {
      yield* create("a")
      const silent = yield* connect()
      yield* silent.send(status(yield* silent.nextTask, "running"))
      const other = yield* another
      assert.strictEqual((yield* other.nextTask).handOver, 2)
      assert.strictEqual(yield* silent.nextError, "timeout")
    })))

  it.effect("a task that its daemon's heartbeats do not list: by the second of them", () =>
    Effect.gen(function*() {
      const daemon = yield* connectSession(ownerId, "one")
      yield* create("a")
      const task = yield* daemon.nextTask
      yield* daemon.report(task, "running")
      yield* pass("5 minutes")
      yield* daemon.forget(task)
      yield* pass("30 seconds")
      assert.notInclude(yield* tagsOf(stream), "HandOverFailed")
      yield* pass("30 seconds")
      yield* settle
      assert.include(yield* tagsOf(stream), "HandOverFailed")
      assert.notInclude(yield* tagsOf(registryOf(ownerId)), "DaemonSuspected")
      yield* pass(Directive.defaultPolicy.exclusionMillis)
      assert.strictEqual((yield* daemon.nextTask).handOver, 2)
    }).pipe(Effect.scoped, Effect.provide(server), Effect.provide(ControlledLog.layer)))
})

describe("A local daemon whose cable is pulled", () => {
  it.live("notices that, comes back when it is mended, and its agent has gone on", () =>
    inServer(
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const cable = yield* makeCable(yield* portOf)
        const agent = "echo $$ >>\"$TEST_DIRECTORY/starts\"; until [ -e \"$TEST_DIRECTORY/go\" ]; do sleep 0.02; done"
        yield* startLocalDaemon({ port: cable.port, directory, agent, heartbeatMillis })
        yield* create("a")
        const pid = Number(yield* written(join(directory, "starts")))
        yield* happens("StepStarted")
        yield* cable.pull
        yield* happens("DaemonSuspected", registryOf(ownerId))
        yield* Effect.sleep(5 * heartbeatMillis)
        assert.isTrue(isRunning(pid))
        yield* cable.mend
        const isBack = Effect.map(tagsOf(registryOf(ownerId)), (tags) => tags.at(-1) === "DaemonConnected")
        yield* eventually("it is back", isBack)
        writeFileSync(join(directory, "go"), "")
        yield* happens("DirectiveIdled")
        assert.strictEqual(readFileSync(join(directory, "starts"), "utf8").trim(), `${pid}`)
        assert.notInclude(yield* tagsOf(stream), "HandOverFailed")
      }),
      30_000
    ))
})
