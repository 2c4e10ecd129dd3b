/**
 * Goal: what a daemon reports of a parked directive waits until that is resumed, and then is recorded at once; meanwhile
 * nobody tries, however long it takes and however often the daemon connects.
 *
 * Method: sessions without sockets in virtual time, so that an hour of nothing is an hour, and a supervisor that counts how
 * often the directive's actor is asked for.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Queue } from "effect"
import { TestClock } from "effect/testing"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { Supervisor, SupervisorPolicy } from "../../src/actors/SupervisorActor.ts"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { ask, create, eventsOf, settle, stream, tagsOf } from "../support/actors.ts"
import { Broken, layerSupervisor } from "../support/broken.ts"
import { makeCable } from "../support/cable.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { eventually } from "../support/eventually.ts"
import { connectSession } from "../support/sessionDaemon.ts"
import { create as createAtEndpoint, layerServerWith, portOf } from "./endpointSupport.ts"
import { startLocalDaemon, temporaryDirectory, written } from "./localSupport.ts"

/** How often the actor of the directive was asked for. */
class Asked extends Context.Service<Asked, { times: number }>()("test/Asked") {}

const layerCounting = Layer.effect(
  Supervisor,
  Effect.gen(function*() {
    const supervisor = yield* Supervisor
    const asked = yield* Asked
    return Supervisor.of({
      ...supervisor,
      actor: (address, behaviour) => {
        if (address === stream) asked.times++
        return supervisor.actor(address, behaviour)
      }
    })
  })
).pipe(
  Layer.provideMerge(layerSupervisor),
  Layer.provideMerge(Layer.sync(Asked, () => ({ times: 0 })))
)

const quickly = Layer.succeed(SupervisorPolicy, { ...defaultPolicy, restartDelayMillis: 1 })

const layer = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(layerCounting, Daemons.layer, TaskOutput.layer)),
  Layer.provideMerge(ControlledLog.layer),
  Layer.provide(quickly)
)

/** A directive whose actor is parked while a daemon is at its step. */
const park = Effect.gen(function*() {
  const broken = yield* Broken
  broken.set(stream, "decide")
  let isParked = false
  while (!isParked) {
    const asking = yield* Effect.forkChild(Effect.flip(ask({ _tag: "Wake" })))
    yield* TestClock.adjust("1 second")
    const error = yield* Fiber.join(asking)
    isParked = error._tag === "ActorUnavailable" && error.parked !== undefined
  }
  broken.delete(stream)
})

const connect = (acknowledgements: boolean) => connectSession(ownerId, "machine", [], { acknowledgements })

for (const acknowledgements of [false, true]) {
  describe(`A final report for a parked directive, of a daemon ${acknowledgements ? "with" : "without"} acknowledgements`, () => {
    const started = Effect.gen(function*() {
      const daemon = yield* connect(acknowledgements)
      yield* create([{ name: "a" }])
      const task = yield* daemon.nextTask
      yield* daemon.report(task, "running")
      yield* settle
      yield* park
      return { daemon, task, asked: yield* Asked }
    })

    const acknowledged = (daemon: Effect.Success<ReturnType<typeof connect>>) =>
      Effect.map(Queue.clear(daemon.frames), (frames) => frames.filter(({ type }) => type === "reported").length)

    it.effect("is tried once, and again when the directive is resumed, at once", () =>
      Effect.gen(function*() {
        const { asked, daemon, task } = yield* started
        const before = asked.times
        yield* daemon.report(task, "completed")
        yield* settle
        assert.strictEqual(asked.times, before + 1)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(asked.times, before + 1)
        assert.notInclude(yield* tagsOf(), "TaskCompleted")
        assert.strictEqual(yield* acknowledged(daemon), 0)

        yield* ask({ _tag: "ResumeDirective" })
        yield* settle
        assert.include(yield* tagsOf(), "TaskCompleted")
        assert.strictEqual(yield* acknowledged(daemon), acknowledgements ? 1 : 0)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("is kept once, however often the daemon connects and says it again", () =>
      Effect.gen(function*() {
        const { asked, daemon: first, task } = yield* started
        const before = asked.times
        yield* first.report(task, "completed")
        yield* settle
        let daemon = first
        const connections = 5
        for (let times = 1; times < connections; times++) {
          // An ending connection waits a while for what it has heard to be dealt with.
          const ending = yield* Effect.forkChild(daemon.end)
          yield* TestClock.adjust("2 seconds")
          yield* Fiber.join(ending)
          daemon = yield* connect(acknowledgements)
          yield* daemon.report(task, "completed")
          yield* settle
          assert.strictEqual(asked.times, before + 1 + times)
        }
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(asked.times, before + connections)

        yield* ask({ _tag: "ResumeDirective" })
        yield* settle
        const after = asked.times
        // The resumption asks twice, before and after, and the report of the last connection once.
        assert.strictEqual(after, before + connections + 3)
        const events = yield* eventsOf()
        assert.strictEqual(events.filter(({ _tag }) => _tag === "TaskCompleted").length, 1)
        assert.strictEqual(events.filter(({ _tag }) => _tag === "ReportIgnored").length, 0)
        assert.strictEqual(yield* acknowledged(daemon), acknowledgements ? 1 : 0)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(asked.times, after)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("waits for the next resumption where the directive is parked again", () =>
      Effect.gen(function*() {
        const { asked, daemon, task } = yield* started
        yield* daemon.report(task, "completed")
        yield* settle
        const broken = yield* Broken
        broken.set(stream, "decide")
        const resuming = yield* Effect.forkChild(Effect.exit(ask({ _tag: "ResumeDirective" })))
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(resuming)
        yield* park
        const before = asked.times
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(asked.times, before)
        yield* ask({ _tag: "ResumeDirective" })
        yield* settle
        assert.include(yield* tagsOf(directiveId), "TaskCompleted")
      }).pipe(Effect.scoped, Effect.provide(layer)))
  })
}

describe("The real daemon, at a real endpoint", () => {
  const heartbeatMillis = 300
  const agent = `
echo $$ >"$TEST_DIRECTORY/pid"
until [ -e "$TEST_DIRECTORY/go" ]; do sleep 0.02; done
`
  it.live("says its final report once for each connection, and has it in the log when the directive is resumed", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const directives = yield* Directives
      const daemons = yield* Daemons
      const asked = yield* Asked
      const broken = yield* Broken
      const cable = yield* makeCable(yield* portOf)
      yield* startLocalDaemon({ port: cable.port, directory, agent, heartbeatMillis })
      yield* createAtEndpoint({ name: "named-a" })
      yield* written(join(directory, "pid"))
      const happens = (tag: string) =>
        eventually(tag, Effect.map(tagsOf(), (tags) => tags.some((each) => each === tag)))
      yield* happens("StepStarted")

      broken.set(stream, "decide")
      yield* Effect.flip(directives.ask(directiveId, { _tag: "Wake" })).pipe(
        Effect.repeat({ until: (error) => error._tag === "ActorUnavailable" && error.parked !== undefined })
      )
      broken.delete(stream)

      const isConnected = Effect.sync(() => daemons.sessions(ownerId).length > 0)
      const hears = (times: number) => eventually(`${times} reports`, Effect.sync(() => asked.times >= times))
      const before = asked.times
      writeFileSync(join(directory, "go"), "")
      yield* hears(before + 1)
      yield* cable.pull
      yield* eventually("the connection is gone", Effect.map(isConnected, (is) => !is))
      yield* cable.mend
      yield* eventually("it is back", isConnected)
      yield* hears(before + 2)

      yield* directives.ask(directiveId, { _tag: "ResumeDirective" }, { ownerId })
      yield* happens("DirectiveIdled")
      const tags = yield* tagsOf()
      assert.strictEqual(tags.filter((tag) => tag === "TaskCompleted").length, 1)
      assert.notInclude(tags, "ReportIgnored")
    }).pipe(
      Effect.scoped,
      Effect.provide(layerServerWith(layerCounting, 0, { heartbeatMillis }).pipe(Layer.provide(quickly))),
      Effect.provide([ControlledLog.layer, NodeServices.layer])
    ))
})
