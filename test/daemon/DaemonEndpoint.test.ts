import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Stream } from "effect"
import { DaemonRegistries, streamOf as registryOf } from "../../src/actors/DaemonRegistryActor.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { frameBytesMax } from "../../src/daemon/Protocol.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId, unknownTask } from "../support/directive.ts"
import { eventually } from "../support/eventually.ts"
import {
  complete,
  connect,
  create,
  createOther,
  hello,
  type InServer,
  lackTwice,
  layerServer,
  type Limits,
  openSocket,
  otherId,
  resume,
  shortHeartbeat,
  status
} from "./endpointSupport.ts"

const stream = Directive.streamOf(directiveId)

const live = (name: string, test: () => InServer<void>, limits: Limits = {}) =>
  it.live(name, () => test().pipe(Effect.provide(layerServer(0, limits).pipe(Layer.provideMerge(ControlledLog.layer)))))

const eventsOf = (of: string) =>
  Effect.flatMap(EventLog, (log) => Stream.runCollect(Stream.map(log.read(of), ({ event }) => event)))
const tagsOf = (of: string) => Effect.map(eventsOf(of), (events) => events.map(({ _tag }) => _tag))
const happens = (tag: string, of = stream) =>
  eventually(`${tag} in ${of}`, Effect.map(tagsOf(of), (tags) => tags.some((one) => one === tag)))

/** One life of a server on a log that the test keeps, in which a test does something. */
const inServer = <A>(use: InServer<A>) => Effect.scoped(use).pipe(Effect.provide(layerServer()))

describe("DaemonEndpoint", () => {
  live("takes in a daemon with a key, whose id is the same however often it comes", () =>
    Effect.gen(function*() {
      const first = yield* connect()
      yield* first.close
      assert.strictEqual((yield* connect()).daemonId, first.daemonId)
      assert.notStrictEqual((yield* connect({ owner: "bob" })).daemonId, first.daemonId)
    }))

  live("hangs up on a key that is not accepted", () =>
    Effect.gen(function*() {
      const socket = yield* openSocket
      yield* socket.send({ ...hello(), apiKey: "guessed" })
      assert.deepInclude(yield* socket.next, { type: "error", code: "unauthorized" })
      assert.deepInclude(yield* socket.closed, { code: 1008, reason: "unauthorized" })
      assert.deepStrictEqual(yield* tagsOf(registryOf(ownerId)), [])
    }))

  live("hangs up on anything that comes before authenticate", () =>
    Effect.gen(function*() {
      for (const first of [{ type: "heartbeat", activeTasks: [] }, "{", { ...hello(), maxConcurrentTasks: -1 }]) {
        const socket = yield* openSocket
        yield* socket.send(first)
        assert.deepInclude(yield* socket.next, { type: "error", code: "not_authenticated" })
        assert.strictEqual((yield* socket.closed).reason, "not_authenticated")
      }
    }))

  live(
    "hangs up on who does not authenticate in time, also if other frames come meanwhile",
    () =>
      Effect.gen(function*() {
        const socket = yield* openSocket
        const tooLarge = "x".repeat(frameBytesMax + 1)
        yield* Effect.forkChild(
          Effect.repeat(Effect.ignore(socket.send(tooLarge)), Schedule.spaced("50 millis"))
        )
        let frame = yield* socket.next
        while (frame.type === "error" && frame.code === "frame_too_large") frame = yield* socket.next
        assert.deepInclude(frame, { type: "error", code: "timeout" })
        assert.strictEqual((yield* socket.closed).reason, "timeout")
      }),
    { authenticateMillisMax: 200 }
  )

  live("answers frames that it cannot take with an error and a code, and goes on", () =>
    Effect.gen(function*() {
      yield* create("a")
      const daemon = yield* connect()
      const task = yield* daemon.nextTask
      const before = yield* tagsOf(stream)
      yield* daemon.send("not JSON", "[]", { type: "taskComplete" }, { type: "dance" }, "x".repeat(frameBytesMax + 1))
      yield* daemon.send({ type: "taskComplete", taskId: unknownTask, success: true })
      yield* daemon.send({ type: "taskOutput", taskId: unknownTask, output: "mine", isPartial: true })
      yield* daemon.send({ ...complete(task), handOver: 9 })
      const codes = yield* Effect.replicateEffect(daemon.nextError, 8)
      assert.sameMembers(codes, [
        "not_a_frame",
        "not_a_frame",
        "invalid_frame",
        "invalid_frame",
        "frame_too_large",
        "not_your_task",
        "not_your_task",
        "not_your_task"
      ])
      assert.deepStrictEqual(yield* tagsOf(stream), before)
      yield* daemon.send(complete(task))
      yield* happens("DirectiveIdled")
    }))

  live("takes no report of a task that another daemon or another owner's daemon has", () =>
    Effect.gen(function*() {
      yield* create("a")
      const daemon = yield* connect()
      const task = yield* daemon.nextTask
      for (const other of [yield* connect({ machineId: "other" }), yield* connect({ owner: "mallory" })]) {
        const { handOver: _, ...anonymous } = complete(task)
        yield* other.send(complete(task), anonymous, status(task, "running"))
        const codes = yield* Effect.replicateEffect(other.nextError, 3)
        assert.deepStrictEqual([...new Set(codes)], ["not_your_task"])
      }
      assert.notInclude(yield* tagsOf(stream), "TaskCompleted")
    }))

  live(
    "hangs up on a flood",
    () =>
      Effect.gen(function*() {
        const daemon = yield* connect()
        for (let frames = 0; frames < 200; frames++) yield* daemon.send({ type: "heartbeat", activeTasks: [] })
        assert.strictEqual(yield* daemon.nextError, "flood")
        assert.strictEqual((yield* daemon.closed).reason, "flood")
        yield* happens("DaemonSuspected", registryOf(ownerId))
      }),
    { framesPerSecondMax: 80 }
  )

  live(
    "ends a session after three missed heartbeats, and not before",
    () =>
      Effect.gen(function*() {
        const alive = yield* connect({ machineId: "alive" })
        const beating = Effect.repeat(
          alive.send({ type: "heartbeat", activeTasks: [] }),
          Schedule.spaced("50 millis")
        )
        yield* Effect.forkChild(beating)
        const silent = yield* connect({ machineId: "silent" })
        const since = Date.now()
        assert.strictEqual(yield* silent.nextError, "timeout")
        assert.isAtLeast(Date.now() - since, 290)
        assert.strictEqual((yield* silent.closed).reason, "timeout")
        yield* happens("DaemonSuspected", registryOf(ownerId))
        const suspects = (yield* eventsOf(registryOf(ownerId))).filter(({ _tag }) => _tag === "DaemonSuspected")
        assert.deepStrictEqual(suspects.map((event) => "daemonId" in event && event.daemonId), [silent.daemonId])
      }),
    { heartbeatMillis: 100 }
  )

  live(
    "lets a daemon that comes anew take over, and does not take it for gone when its old connection ends",
    () =>
      Effect.gen(function*() {
        yield* create("a")
        const first = yield* connect()
        const task = yield* first.nextTask
        const second = yield* connect({ activeTasks: [task.taskId] })
        assert.strictEqual(yield* first.nextError, "replaced")
        assert.strictEqual((yield* first.closed).reason, "replaced")
        yield* second.send(complete(task))
        yield* happens("DirectiveIdled")
        assert.deepStrictEqual(yield* tagsOf(registryOf(ownerId)), ["DaemonConnected", "DaemonConnected"])
      })
  )

  live("lets a daemon keep the tasks that its first heartbeat lists", () =>
    Effect.gen(function*() {
      yield* create("a")
      const first = yield* connect()
      const task = yield* first.nextTask
      yield* first.send(status(task, "running"))
      yield* happens("StepStarted")
      yield* first.close
      yield* happens("DaemonSuspected", registryOf(ownerId))
      const second = yield* connect({ activeTasks: [task.taskId] })
      yield* second.send({ type: "heartbeat", activeTasks: [task.taskId] }, complete(task))
      yield* happens("DirectiveIdled")
      assert.notInclude(yield* tagsOf(stream), "HandOverFailed")
    }))

  live("hands over again what a daemon that comes back does not list", () =>
    Effect.gen(function*() {
      yield* create("a")
      const first = yield* connect()
      yield* first.send(status(yield* first.nextTask, "starting"))
      yield* happens("StepStarted")
      yield* first.close
      const second = yield* connect()
      assert.strictEqual((yield* second.nextTask).handOver, 2)
    }))

  live(
    "sends a hand-over again, as the same, that a daemon never spoke of and does not list, once on each connection",
    () =>
      Effect.gen(function*() {
        yield* create("a")
        const first = yield* connect()
        const { taskId } = yield* first.nextTask
        yield* first.close
        const second = yield* connect()
        const repeated = yield* second.nextTask
        assert.deepInclude(repeated, { taskId, handOver: 1 })
        // It lacks the task twice more: what was sent again is not on its way any more.
        yield* lackTwice(second)
        assert.deepInclude(yield* second.nextTask, { taskId, handOver: 2 })
        const failed = (yield* eventsOf(stream)).filter(({ _tag }) => _tag === "HandOverFailed")
        assert.strictEqual(failed.length, 1)
      }),
    shortHeartbeat
  )

  live("does not send a hand-over again for ever to a daemon that never gets to it", () =>
    Effect.gen(function*() {
      yield* create("a")
      const first = yield* connect()
      yield* first.nextTask
      yield* first.close
      const handOvers: Array<number> = []
      for (let connection = 0; connection < 3; connection++) {
        const next = yield* connect()
        handOvers.push((yield* next.nextTask).handOver)
        yield* next.close
      }
      assert.deepStrictEqual(handOvers, [1, 1, 2])
    }))

  live(
    "takes a task for missing only when heartbeats lack it for a while: the frame may have been under way",
    () =>
      Effect.gen(function*() {
        const daemon = yield* connect()
        // Whatever was sent before is handled when the daemon hears that this task is not its own.
        const handled = Effect.andThen(
          daemon.send({ type: "taskOutput", taskId: unknownTask, output: "", isPartial: true }),
          daemon.nextError
        )
        yield* handled
        yield* create("a")
        const task = yield* daemon.nextTask
        yield* daemon.send({ type: "heartbeat", activeTasks: [] }, { type: "heartbeat", activeTasks: [task.taskId] })
        // Heartbeats that were held up come in a bunch.
        yield* daemon.send({ type: "heartbeat", activeTasks: [] }, { type: "heartbeat", activeTasks: [] })
        assert.strictEqual(yield* handled, "not_your_task")
        assert.notInclude(yield* tagsOf(stream), "HandOverFailed")
        yield* lackTwice(daemon)
        assert.strictEqual((yield* daemon.nextTask).handOver, 2)
      }),
    shortHeartbeat
  )

  live(
    "repeats an interruption to a daemon that was away, and interrupts what nobody wants any more",
    () =>
      Effect.gen(function*() {
        const directives = yield* Directives
        yield* create("a", "b")
        const first = yield* connect()
        const a = yield* first.nextTask
        const b = yield* first.nextTask
        yield* first.close
        yield* happens("DaemonSuspected", registryOf(ownerId))
        yield* directives.ask(directiveId, { _tag: "InterruptTask", taskId: a.taskId })
        yield* directives.ask(directiveId, {
          _tag: "ReportTask",
          taskId: b.taskId,
          daemonId: first.daemonId,
          handOver: 1,
          status: "completed"
        })
        const second = yield* connect({ activeTasks: [a.taskId, b.taskId] })
        const frames = [yield* second.next, yield* second.next]
        assert.deepStrictEqual(
          frames,
          [a, b].map(({ taskId }) => ({ type: "interruptTask", taskId, graceful: true }))
        )
        yield* second.send(status(a, "interrupted"))
        yield* happens("TaskInterrupted")
      })
  )

  live("asks again, at a heartbeat, for an interruption that has not come about", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      yield* create("a")
      const daemon = yield* connect()
      const { taskId } = yield* daemon.nextTask
      yield* directives.ask(directiveId, { _tag: "InterruptTask", taskId })
      const asked = { type: "interruptTask", taskId, graceful: true } as const
      assert.deepStrictEqual(yield* daemon.next, asked)
      yield* daemon.send({ type: "heartbeat", activeTasks: [taskId] })
      assert.deepStrictEqual(yield* daemon.next, asked)
    }))

  live("says nothing of another owner's tasks to a daemon that claims to have them", () =>
    Effect.gen(function*() {
      yield* create("a")
      const own = yield* connect()
      const { taskId } = yield* own.nextTask
      yield* Effect.flatMap(Directives, (directives) => directives.ask(directiveId, { _tag: "InterruptTask", taskId }))
      yield* own.send({ type: "taskStatusChange", taskId, oldStatus: "running", newStatus: "interrupted" })
      yield* happens("TaskInterrupted")
      const stranger = yield* connect({ owner: "bob", activeTasks: [taskId] })
      yield* stranger.send({ type: "taskOutput", taskId: unknownTask, output: "", isPartial: true })
      assert.strictEqual(yield* stranger.nextError, "not_your_task")
    }))

  live("interrupts a task that runs when it is asked to", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      yield* create("a")
      const daemon = yield* connect()
      const { taskId } = yield* daemon.nextTask
      yield* directives.ask(directiveId, { _tag: "InterruptTask", taskId })
      assert.deepStrictEqual(yield* daemon.next, { type: "interruptTask", taskId, graceful: true })
    }))

  live(
    "accepts a late success, interrupts the newer one, and gives its slot away only when it has ended",
    () =>
      Effect.gen(function*() {
        yield* create("a", { name: "b", orderIndex: 1 })
        const first = yield* connect({ machineId: "first", maxConcurrentTasks: 1 })
        const late = yield* first.nextTask
        // The daemon forgets the task for a moment, as it were: the server gives it to another one.
        yield* lackTwice(first)
        yield* first.send({ type: "heartbeat", activeTasks: [late.taskId] })
        const second = yield* connect({ machineId: "second", maxConcurrentTasks: 1 })
        const newer = yield* second.nextTask
        assert.deepStrictEqual([newer.taskId, newer.handOver], [late.taskId, 2])
        yield* first.send(complete(late))
        assert.deepStrictEqual(yield* second.next, { type: "interruptTask", taskId: late.taskId, graceful: false })
        assert.strictEqual((yield* first.nextTask).taskName, "Greet: b")
        // Another directive's task would fit on the second daemon by the log, but its agent is still being stopped.
        yield* createOther("c")
        assert.notInclude(yield* tagsOf(Directive.streamOf(otherId)), "TaskHandedOver")
        yield* second.send(status(newer, "interrupted"))
        assert.strictEqual((yield* second.nextTask).taskName, "Other: c")
        const completed = (yield* eventsOf(stream)).filter(({ _tag }) => _tag === "TaskCompleted")
        assert.deepStrictEqual(completed, [{ _tag: "TaskCompleted", taskId: late.taskId, handOver: 1 }])
      }),
    shortHeartbeat
  )

  live(
    "keeps a report for as long as the log fails, and other directives' reports do not wait for it",
    () =>
      Effect.gen(function*() {
        const control = yield* ControlledLog.Control
        yield* create("a")
        const daemon = yield* connect()
        const a = yield* daemon.nextTask
        yield* createOther("c")
        const c = yield* daemon.nextTask
        control.fails = (stream) => stream === Directive.streamOf(directiveId)
        yield* daemon.send(complete(a), complete(c))
        yield* happens("DirectiveIdled", Directive.streamOf(otherId))
        // It has reported the task, so it lists it no more; that does not make the task one that it lost.
        yield* lackTwice(daemon)
        control.fails = () => false
        yield* happens("DirectiveIdled")
        assert.notInclude(yield* tagsOf(stream), "HandOverFailed")
      }),
    shortHeartbeat
  )

  live(
    "acknowledges to who asks for it: heartbeats at once, final reports when they are in the log or refused",
    () =>
      Effect.gen(function*() {
        const control = yield* ControlledLog.Control
        yield* create("a")
        const socket = yield* openSocket
        yield* socket.send(hello({ acknowledgements: true }))
        const { daemonId } = yield* connect({ machineId: "other", maxConcurrentTasks: 0 })
        const welcome = yield* socket.next
        assert.deepInclude(welcome, { type: "authenticated", acknowledgements: true })
        assert.notStrictEqual("daemonId" in welcome && welcome.daemonId, daemonId)
        yield* socket.send({ type: "heartbeat", activeTasks: [] })
        const frames = [yield* socket.next, yield* socket.next]
        assert.deepInclude(frames, { type: "heartbeat" })
        const task = frames.find((frame) => frame.type === "spawnTask")!
        control.fails = (of) => of === stream
        yield* socket.send(status(task, "running"), complete(task), { type: "heartbeat", activeTasks: [] })
        assert.deepStrictEqual(yield* socket.next, { type: "heartbeat" })
        assert.strictEqual(yield* socket.waiting, 0)
        control.fails = () => false
        assert.deepStrictEqual(yield* socket.next, { type: "reported", taskId: task.taskId, handOver: 1 })
        assert.include(yield* tagsOf(stream), "TaskCompleted")
        yield* socket.send({ type: "taskComplete", taskId: unknownTask, success: true })
        assert.strictEqual((yield* socket.next).type, "error")
        assert.deepStrictEqual(yield* socket.next, { type: "reported", taskId: unknownTask })
      })
  )

  live("keeps what a daemon said right before its connection ended", () =>
    Effect.gen(function*() {
      yield* create("a")
      const daemon = yield* connect()
      const task = yield* daemon.nextTask
      yield* daemon.send(status(task, "running"), complete(task))
      yield* daemon.close
      yield* happens("DirectiveIdled")
    }))

  live("takes every word that means success, and passes a failure's reason on", () =>
    Effect.gen(function*() {
      yield* create("a", "b", "c", "d")
      const daemon = yield* connect()
      const tasks = yield* Effect.replicateEffect(daemon.nextTask, 4)
      for (const [i, word] of ["completed", "merged", "done"].entries()) {
        yield* daemon.send(status(tasks[i]!, "pending"), status(tasks[i]!, word))
      }
      yield* daemon.send({ ...complete(tasks[3]!, false), error: "it hurt" })
      yield* happens("DirectiveIdled")
      const events = yield* eventsOf(stream)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "TaskCompleted").length, 3)
      const failed = events.find((event) => event._tag === "StepFailed")
      assert.strictEqual(failed?.reason, "it hurt")
    }))

  live("keeps output beside the log", () =>
    Effect.gen(function*() {
      const output = yield* TaskOutput
      yield* create("a")
      const daemon = yield* connect()
      const task = yield* daemon.nextTask
      const before = yield* tagsOf(stream)
      yield* daemon.send(
        { type: "taskOutput", taskId: task.taskId, output: "line ", isPartial: true },
        { type: "taskOutput", taskId: task.taskId, output: "one\n", isPartial: false },
        { type: "taskProgress", taskId: task.taskId, summary: "half way" }
      )
      yield* eventually("the output is there", Effect.map(output.read(task.taskId), (text) => text.endsWith("way\n")))
      assert.strictEqual(yield* output.read(task.taskId), "line one\nhalf way\n")
      assert.deepStrictEqual(yield* tagsOf(stream), before)
    }))

  live(
    "gives a daemon that was here before nothing until it has said what it has, or has had time to",
    () =>
      Effect.gen(function*() {
        yield* (yield* connect({ maxConcurrentTasks: 1 })).close
        yield* happens("DaemonSuspected", registryOf(ownerId))
        yield* create("a")
        const socket = yield* openSocket
        yield* socket.send(hello({ maxConcurrentTasks: 1 }))
        assert.strictEqual((yield* socket.next).type, "authenticated")
        yield* socket.send({ type: "heartbeat", activeTasks: [unknownTask] }, { type: "dance" })
        assert.strictEqual((yield* socket.next).type, "error")
        assert.notInclude(yield* tagsOf(stream), "TaskHandedOver")
        yield* socket.close
        const silent = yield* openSocket
        yield* silent.send(hello({ maxConcurrentTasks: 2 }))
        assert.strictEqual((yield* silent.next).type, "authenticated")
        assert.strictEqual((yield* silent.next).type, "spawnTask")
      })
  )

  describe("when the server starts anew", () => {
    const onOneLog = (name: string, test: () => Effect.Effect<void, unknown, EventLog | ControlledLog.Control>) =>
      it.live(name, () => test().pipe(Effect.provide(ControlledLog.layer)))

    onOneLog("goes on with a daemon that still has its task, which nobody else gets", () =>
      Effect.gen(function*() {
        const task = yield* inServer(Effect.gen(function*() {
          yield* create("a", { name: "b", orderIndex: 1 })
          const daemon = yield* connect()
          const task = yield* daemon.nextTask
          yield* daemon.send(status(task, "running"))
          yield* happens("StepStarted")
          return task
        }))
        yield* inServer(Effect.gen(function*() {
          yield* resume
          const other = yield* connect({ machineId: "other" })
          const daemon = yield* connect({ activeTasks: [task.taskId] })
          yield* daemon.send(complete(task))
          yield* Effect.raceFirst(daemon.nextTask, other.nextTask)
        }))
        const handedOver = (yield* eventsOf(stream)).flatMap((event) =>
          event._tag === "TaskHandedOver" ? [event.handOver] : []
        )
        assert.deepStrictEqual(handedOver, [1, 1])
      }))

    onOneLog(
      "sends again what the old server had in the log and never sent, at the cost of no hand-over",
      () =>
        Effect.gen(function*() {
          yield* inServer(Effect.gen(function*() {
            yield* create("a")
            // Nobody reads what comes: as if the server had died between the append and the frame.
            yield* connect()
            yield* happens("TaskHandedOver")
          }))
          yield* inServer(Effect.gen(function*() {
            yield* resume
            const daemon = yield* connect()
            const task = yield* daemon.nextTask
            assert.strictEqual(task.handOver, 1)
            yield* daemon.send(status(task, "running"), complete(task))
            yield* happens("DirectiveIdled")
          }))
          const tags = yield* tagsOf(stream)
          assert.strictEqual(tags.filter((tag) => tag === "TaskHandedOver").length, 1)
          assert.notInclude(tags, "HandOverFailed")
        })
    )

    onOneLog(
      "takes a report whose first hearing the old server did not get into the log",
      () =>
        Effect.gen(function*() {
          const control = yield* ControlledLog.Control
          const task = yield* inServer(Effect.gen(function*() {
            yield* create("a")
            const daemon = yield* connect()
            const task = yield* daemon.nextTask
            control.fails = (of) => of === stream
            yield* daemon.send(complete(task))
            const failures = () => control.appends.filter(([append]) => append?.stream === stream).length
            const before = failures()
            yield* eventually("the report fails", Effect.sync(() => failures() > before || failures() > 3))
            return task
          }))
          control.fails = () => false
          assert.notInclude(yield* tagsOf(stream), "TaskCompleted")
          yield* inServer(Effect.gen(function*() {
            yield* resume
            const daemon = yield* connect({ activeTasks: [task.taskId] })
            yield* daemon.send(complete(task))
            yield* happens("DirectiveIdled")
          }))
        })
    )
  })

  live("settles a daemon's connection when its registry cannot record it", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      control.fails = (of) => of === registryOf(ownerId)
      const socket = yield* openSocket
      yield* socket.send(hello())
      assert.deepInclude(yield* socket.next, { type: "error", code: "unavailable" })
      assert.strictEqual((yield* socket.closed).reason, "unavailable")
      control.fails = () => false
      yield* eventually(
        "the registry is back",
        Effect.isSuccess(Effect.flatMap(DaemonRegistries, ({ ask }) => ask(ownerId, { _tag: "Wake" })))
      )
      yield* connect()
      assert.strictEqual((yield* tagsOf(registryOf(ownerId))).at(-1), "DaemonConnected")
    }))
})
