/** The real local daemon on the real endpoint, with a server that goes away and comes back on the same log. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { streamOf as registryOf } from "../../src/actors/DaemonRegistryActor.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { TaskId } from "../../src/events/Ids.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { eventually } from "../support/eventually.ts"
import { isRunning } from "../support/processes.ts"
import { create, type InServer, layerServer, portOf, resume } from "./endpointSupport.ts"
import { startLocalDaemon, temporaryDirectory, written } from "./localSupport.ts"

const stream = Directive.streamOf(directiveId)
const events = Effect.flatMap(EventLog, (log) => Stream.runCollect(Stream.map(log.read(stream), ({ event }) => event)))
const happens = (tag: string) => eventually(tag, Effect.map(events, (all) => all.some(({ _tag }) => _tag === tag)))

/** Says that it has started, waits for its step's turn, and says something on its way out. */
const agent = `
step=$(sed -n 's/.*named-\\([a-z]*\\).*/\\1/p' | head -n 1)
echo "$step $$ $MAKIMA_TASK_ID" >>"$TEST_DIRECTORY/starts"
echo $$ >"$TEST_DIRECTORY/pid-$step"
until [ -e "$TEST_DIRECTORY/go-$step" ]; do sleep 0.02; done
echo "done with $step"
`

const startDaemon = (port: number, directory: string) =>
  startLocalDaemon({ port, directory, agent, heartbeatMillis: 500 })

const inServer = <A>(port: number, use: InServer<A>) =>
  Effect.scoped(use).pipe(Effect.provide(layerServer(port, { heartbeatMillis: 500 })))

describe("LocalDaemon and DaemonEndpoint", () => {
  it.live("loses no report that a server heard, could not get into its log, and died with", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const control = yield* ControlledLog.Control
      const port = yield* inServer(0, Effect.andThen(create({ name: "named-once" }), portOf))
      yield* startDaemon(port, directory)
      yield* inServer(
        port,
        Effect.gen(function*() {
          yield* resume
          yield* written(join(directory, "pid-once"))
          yield* happens("StepStarted")
          control.fails = (of) => of === stream
          const attempts = () => control.appends.filter(([append]) => append?.stream === stream).length
          const before = attempts()
          writeFileSync(join(directory, "go-once"), "")
          yield* eventually("the report does not get into the log", Effect.sync(() => attempts() > before))
          // For longer than a server without acknowledgements would have to notice that a connection is dead.
          yield* Effect.sleep("1600 millis")
        })
      )
      control.fails = () => false
      yield* inServer(port, Effect.andThen(resume, happens("DirectiveIdled")))
      assert.strictEqual(readFileSync(join(directory, "starts"), "utf8").trim().split("\n").length, 1)
      const tags = (yield* events).map(({ _tag }) => _tag)
      assert.strictEqual(tags.filter((tag) => tag === "TaskHandedOver").length, 1)
    }).pipe(Effect.scoped, Effect.provide([ControlledLog.layer, NodeServices.layer])))

  it.live("end a run as if nothing had happened when the server restarts in the middle of it", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const go = (step: string) => writeFileSync(join(directory, `go-${step}`), "")
      const plan = (name: string) => ({ name: `named-${name}` })
      const port = yield* inServer(
        0,
        Effect.gen(function*() {
          const port = yield* portOf
          yield* create(plan("kept"), plan("ended"), { ...plan("next"), orderIndex: 1 })
          return port
        })
      )
      yield* startDaemon(port, directory)
      yield* inServer(
        port,
        Effect.gen(function*() {
          yield* resume
          yield* written(join(directory, "pid-kept"))
          yield* written(join(directory, "pid-ended"))
          yield* happens("StepStarted")
        })
      )
      // The server is away. One agent goes on, and another ends.
      const pid = Number(yield* written(join(directory, "pid-kept")))
      const ended = Number(yield* written(join(directory, "pid-ended")))
      go("ended")
      yield* eventually("the other agent has ended", Effect.sync(() => !isRunning(ended)))
      assert.isTrue(isRunning(pid))
      const output = yield* inServer(
        port,
        Effect.gen(function*() {
          yield* resume
          yield* happens("StepCompleted")
          assert.isTrue(isRunning(pid))
          go("kept")
          yield* written(join(directory, "pid-next"))
          go("next")
          yield* happens("DirectiveIdled")
          const output = yield* TaskOutput
          const last = (yield* events).flatMap((event) => event._tag === "TaskCompleted" ? [event.taskId] : []).at(-1)
          return yield* output.read(TaskId.make(last!))
        })
      )
      assert.strictEqual(output, "done with next\n")
      const starts = readFileSync(join(directory, "starts"), "utf8").trim().split("\n")
      assert.deepStrictEqual(starts.map((line) => line.split(" ")[0]).sort(), ["ended", "kept", "next"])
      const tags = (yield* events).map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags.filter((tag) => tag === "TaskHandedOver").length, 3)
      assert.notInclude(tags, "HandOverFailed")
      const log = yield* EventLog
      const fleet = yield* Stream.runCollect(Stream.map(log.read(registryOf(ownerId)), ({ event }) => event._tag))
      assert.notInclude(fleet, "DaemonLost")
    }).pipe(Effect.provide(Layer.merge(ControlledLog.layer, NodeServices.layer))))
})
