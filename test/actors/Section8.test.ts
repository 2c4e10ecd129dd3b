/**
 * Where the original goes wrong (spec section 8): a named test for each row that the machinery has to keep, in the order
 * of the table. `Directive.section8.test.ts` has the rows that the rules decide alone.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries, streamOf as registryOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { DirectiveCommand, NewStep } from "../../src/actors/DirectiveCommand.ts"
import { NodeName, Supervisor } from "../../src/actors/SupervisorActor.ts"
import type { SpawnTask } from "../../src/daemon/Protocol.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { type DaemonId, DirectiveId, directiveIdOf, OwnerId, type TaskId } from "../../src/events/Ids.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer))
)
const runtime = actors.pipe(Layer.provideMerge(ControlledLog.layer))
/** One life of a server on a log that outlives it. */
const server = (name = "local") => Layer.fresh(actors).pipe(Layer.provide(Layer.succeed(NodeName)(name)))

const stream = Directive.streamOf(directiveId)
const otherId = DirectiveId.make("99999999-0000-4000-8000-000000000000")
const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

const ask = (command: DirectiveCommand, id = directiveId, commandId?: string) =>
  Effect.flatMap(
    Directives,
    (directives) => directives.ask(id, command, { ownerId, ...(commandId === undefined ? {} : { commandId }) })
  )

const create = Effect.fnUntraced(function*(steps: ReadonlyArray<NewStep>, id = directiveId) {
  yield* ask({ _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" }, id)
  yield* ask({ _tag: "AddSteps", steps }, id)
  yield* ask({ _tag: "StartDirective" }, id)
})

const eventsOf = (id = directiveId) =>
  Effect.flatMap(
    EventLog,
    (log) => Stream.runCollect(Stream.map(log.read(Directive.streamOf(id)), ({ event }) => event as DirectiveEvent))
  )
const tagsOf = (id = directiveId) => Effect.map(eventsOf(id), (events) => events.map(({ _tag }) => _tag))
const statusOf = (id = directiveId) =>
  Effect.map(eventsOf(id), (events) => events.reduce(Directive.evolve, Directive.empty(Directive.streamOf(id))).status)

const chain: ReadonlyArray<NewStep> = [{ key: "a", name: "a" }, { key: "b", name: "b", dependsOn: ["a"] }]

describe("Where the original goes wrong, in the machinery", () => {
  it.effect("a task marked `starting` whose send failed stays so for ever", () =>
    Effect.gen(function*() {
      const broken = yield* connectDaemon(ownerId, "broken")
      yield* broken.breakConnection
      yield* create([{ name: "a" }])
      yield* settle
      assert.deepStrictEqual((yield* tagsOf()).slice(-2), ["TaskHandedOver", "HandOverFailed"])
      const other = yield* connectDaemon(ownerId, "other")
      const again = yield* other.nextTask
      assert.strictEqual(again.handOver, 2)
      yield* other.report(again, "completed")
      assert.strictEqual(yield* statusOf(), "idle")
    }).pipe(Effect.provide(runtime)))

  it.effect("a daemon that dies leaves its tasks `running` for ever", () =>
    Effect.gen(function*() {
      const first = yield* connectDaemon(ownerId, "first")
      yield* create([{ name: "a" }])
      // An agent that takes its time, or thinks in silence, is no reason to doubt its daemon.
      yield* TestClock.adjust("10 hours")
      assert.notInclude(yield* tagsOf(), "HandOverFailed")
      for (const machine of ["first", "second", "third"]) {
        const daemon = machine === "first" ? first : yield* connectDaemon(ownerId, machine)
        yield* daemon.report(yield* daemon.nextTask, "running")
        yield* daemon.disconnect
        yield* TestClock.adjust("2 minutes")
        yield* settle
      }
      const failed = (yield* eventsOf()).find((event) => event._tag === "TaskFailed")
      assert.match(failed?.reason ?? "", /^handed over 3 times in vain, the last time because daemon .* was lost$/)
      assert.include(["idle", "stalled"], yield* statusOf())
    }).pipe(Effect.provide(runtime)))

  it.effect("a report that arrives late changes whatever is there", () =>
    Effect.gen(function*() {
      const first = yield* connectDaemon(ownerId, "first")
      yield* create(chain)
      const late = yield* first.nextTask
      yield* first.disconnect
      yield* TestClock.adjust("2 minutes")
      const second = yield* connectDaemon(ownerId, "second")
      const newer = yield* second.nextTask
      yield* first.report(late, "failed")
      assert.deepStrictEqual((yield* tagsOf()).at(-1), "ReportIgnored")
      yield* first.report(late, "completed")
      assert.deepStrictEqual(yield* Queue.take(second.frames), {
        type: "interruptTask",
        taskId: newer.taskId,
        graceful: false
      })
      yield* second.report(newer, "interrupted")
      const ends = (yield* eventsOf()).filter(({ _tag }) => /^Task(Completed|Failed|Interrupted)$/.test(_tag))
      assert.deepStrictEqual(ends, [{ _tag: "TaskCompleted", taskId: late.taskId, handOver: 1 }])
      assert.strictEqual((yield* second.nextTask).taskName, "Greet: b")
    }).pipe(Effect.provide(runtime)))

  it.effect("create a task, link it, mark the step: three writes, and a crash between them leaves orphans or doubles", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create(chain)
      const a = yield* daemon.nextTask
      control.appends.length = 0
      yield* daemon.report(a, "completed")
      const [append, ...more] = control.appends.filter(([append]) => append?.stream === stream)
      assert.deepStrictEqual(more, [])
      assert.deepStrictEqual(
        append?.[0]?.events.map(({ _tag }) => _tag),
        [
          "StepStarted",
          "StepCompleted",
          "StepReadied",
          "TaskCreated",
          "TaskHandedOver"
        ].toSpliced(0, 0, "TaskCompleted")
      )
    }).pipe(Effect.provide(runtime)))

  it.effect("one error ends the tick for every later phase and directive", () =>
    Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create(chain)
      yield* create(chain, otherId)
      const tasks = [yield* daemon.nextTask, yield* daemon.nextTask]
      const [mine, theirs] = tasks.toSorted((a) => (a.directiveId === directiveId ? -1 : 1)) as [SpawnTask, SpawnTask]
      const progress = Effect.gen(function*() {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(daemon.report(mine, "completed"))))
        yield* daemon.report(theirs, "completed")
        yield* daemon.report(yield* daemon.nextTask, "completed")
      })
      yield* ControlledLog.whileFailing((one) => one === stream, progress)
      assert.strictEqual(yield* statusOf(otherId), "idle")
      yield* TestClock.adjust("1 second")
      yield* daemon.report(mine, "completed")
      yield* daemon.report(yield* daemon.nextTask, "completed")
      assert.strictEqual(yield* statusOf(), "idle")
      const log = yield* EventLog
      const failures = (yield* Stream.runCollect(log.read("supervisor-local"))).flatMap(({ event }) =>
        event._tag === "ActorFailed" ? [event.address] : []
      )
      assert.deepStrictEqual(failures, [stream])
    }).pipe(Effect.provide(runtime)))

  it.effect("completions are noticed after dispatch in the same tick, so a DAG edge costs 15 to 30 s", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const daemon = yield* connectDaemon(ownerId, "one", 1)
      yield* create(Array.from({ length: 50 }, (_, i) => ({
        key: `${i}`,
        name: `${i}`,
        dependsOn: i === 0 ? [] : [`${i - 1}`]
      })))
      for (let i = 0; i < 50; i++) yield* daemon.report(yield* daemon.nextTask, "completed")
      assert.strictEqual(yield* statusOf(), "idle")
      const events = yield* Stream.runCollect(log.readAll())
      // Virtual time has not moved at all: no timer is on the way of an edge.
      assert.deepStrictEqual([...new Set(events.map(({ at }) => at))], [0])
    }).pipe(Effect.provide(runtime)))

  it.effect("restart of the server in the middle of anything", () =>
    Effect.gen(function*() {
      const steps: ReadonlyArray<NewStep> = [
        { key: "a", name: "a" },
        { key: "b", name: "b" },
        { name: "c", dependsOn: ["a", "b"], orderIndex: 1 }
      ]
      // A crash at the n-th append of a life: before it reaches the log, or after it and before anybody hears of it.
      for (const isAfter of [false, true]) {
        for (let append = 1; append <= 15; append++) {
          yield* liveAndDie(steps, append, isAfter).pipe(Effect.provide(ControlledLog.layer))
        }
      }
    }))

  it.effect("two servers on one database", () =>
    Effect.gen(function*() {
      const one = yield* Layer.build(server("one"))
      const two = yield* Layer.build(server("two"))
      const sent = yield* Effect.gen(function*() {
        const daemon = yield* connectDaemon(ownerId, "one")
        yield* create([{ name: "a" }])
        return { daemon, task: yield* daemon.nextTask }
      }).pipe(Effect.provide(one))
      const there = yield* Effect.provide(connectDaemon(ownerId, "two"), two)
      yield* ask({ _tag: "SetMemory", key: "k", value: "two" }).pipe(Effect.provide(two))
      yield* ask({ _tag: "AddSteps", steps: [{ name: "b" }] }).pipe(Effect.provide(two))
      assert.strictEqual((yield* there.nextTask).taskName, "Greet: b")
      // The first server decides on what it knows, cannot append that, and does nothing about it.
      const refused = yield* Effect.flip(
        ask({ _tag: "AddSteps", steps: [{ name: "never" }] }).pipe(Effect.provide(one))
      )
      assert.strictEqual(refused._tag, "ActorUnavailable")
      assert.strictEqual(yield* Queue.size(sent.daemon.frames), 0)
      yield* TestClock.adjust("1 second")
      yield* sent.daemon.report(sent.task, "completed").pipe(Effect.provide(one))
      const handedOver = (yield* eventsOf()).filter(({ _tag }) => _tag === "TaskHandedOver")
      assert.strictEqual(handedOver.length, 2)
      assert.notInclude((yield* eventsOf()).flatMap((event) => event._tag === "StepAdded" ? [event.name] : []), "never")
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("an update of the same thing twice is two updates", () =>
    Effect.gen(function*() {
      const add: DirectiveCommand = { _tag: "AddSteps", steps: [{ name: "a" }] }
      const first = yield* Effect.gen(function*() {
        yield* ask({ _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" })
        const answers = yield* Effect.forEach([1, 2, 3], () => ask(add, directiveId, "key-1"), {
          concurrency: "unbounded"
        })
        for (const { answer } of answers) assert.deepStrictEqual(answer, answers[0]!.answer)
        return answers[0]!
      }).pipe(Effect.provide(server()))
      const again = yield* ask(add, directiveId, "key-1").pipe(Effect.provide(server()))
      assert.deepStrictEqual(again.answer, first.answer)
      assert.strictEqual((yield* tagsOf()).filter((tag) => tag === "StepAdded").length, 1)
    }).pipe(Effect.provide(ControlledLog.layer)))
})

/**
 * A directive whose server dies at the n-th append of each of its first two lives, while its daemon goes on by itself and
 * says again and again what it has to say. In the end everything is done, once.
 */
const liveAndDie = Effect.fnUntraced(function*(steps: ReadonlyArray<NewStep>, dieAt: number, isAfter: boolean) {
  const control = yield* ControlledLog.Control
  const running = new Map<TaskId, SpawnTask>()
  const done: Array<SpawnTask> = []
  const starts: Array<string> = []
  const acknowledged: Array<string> = []
  const death = { hasCome: false }

  const life = Effect.gen(function*() {
    const registries = yield* DaemonRegistries
    const directives = yield* Directives
    yield* Effect.exit(registries.resume(ownerId))
    yield* Effect.exit(directives.resume(directiveId))
    const daemon = yield* connectDaemon(ownerId, "one", 2)
    const commands: ReadonlyArray<readonly [string, DirectiveCommand]> = [
      ["create", { _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" }],
      ["add", { _tag: "AddSteps", steps }],
      ["start", { _tag: "StartDirective" }]
    ]
    for (const [key, command] of commands) {
      if (acknowledged.includes(key)) continue
      const exit = yield* Effect.exit(ask(command, directiveId, key))
      if (Exit.isFailure(exit)) return
      acknowledged.push(key)
    }
    let missing: ReadonlySet<TaskId> = new Set()
    for (let turn = 0; turn < 20 && !death.hasCome; turn++) {
      yield* settle
      for (const frame of yield* Queue.clear(daemon.frames)) {
        if (frame.type !== "spawnTask") continue
        assert.isFalse(running.has(frame.taskId), "no task is handed out while its daemon still runs it")
        starts.push(frame.taskName)
        running.set(frame.taskId, frame)
      }
      for (const task of [...running.values()].slice(0, 1)) {
        running.delete(task.taskId)
        done.push(task)
      }
      // The protocol has no acknowledgements: what was said may have been lost with the server.
      for (const task of done) yield* Effect.exit(daemon.report(task, "completed"))
      if ((yield* statusOf()) === "idle") return
      missing = yield* failMissing(daemon.daemonId, [...running.keys(), ...done.map(({ taskId }) => taskId)], missing)
      yield* TestClock.adjust(Directive.defaultPolicy.exclusionMillis)
    }
  })

  for (let lives = 0; lives < 10 && (yield* statusOf()) !== "idle"; lives++) {
    // A task is handed over three times at most, and each death may cost it one.
    const isLast = lives > 1
    const before = control.appends.length
    death.hasCome = false
    // Nothing comes after the append at which it dies.
    const dies = (of: string) => {
      if (death.hasCome) return true
      return death.hasCome = !isLast && of === stream && control.appends.length - before >= dieAt
    }
    control.fails = isAfter ? () => death.hasCome : dies
    if (isAfter) control.failsAfterwards = dies
    const lived = yield* Effect.forkChild(Effect.provide(life, server()))
    while (lived.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
    yield* Fiber.join(lived)
    control.fails = control.failsAfterwards = () => false
  }
  assert.strictEqual(yield* statusOf(), "idle")
  assert.sameMembers([...new Set(starts)], steps.map(({ name }) => `Greet: ${name}`))
  const completed = (yield* eventsOf()).flatMap((event) => event._tag === "TaskCompleted" ? [event.taskId] : [])
  assert.strictEqual(completed.length, steps.length)
  assert.strictEqual(new Set(completed).size, steps.length)
  for (const tag of ["DirectiveCreated", "DirectiveStarted"]) {
    assert.strictEqual((yield* tagsOf()).filter((one) => one === tag).length, 1)
  }
})

/** What the daemon's session does with a heartbeat: what it lacks for the second time is missing. */
const failMissing = Effect.fnUntraced(function*(
  daemonId: DaemonId,
  listed: ReadonlyArray<TaskId>,
  missing: ReadonlySet<TaskId>
) {
  const daemons = yield* Daemons
  const directives = yield* Directives
  const lacking = daemons.assignments(ownerId, daemonId).filter(({ taskId }) => !listed.includes(taskId))
  for (const { directiveId: id, handOver, taskId } of lacking) {
    if (!missing.has(taskId)) continue
    yield* directives.tell(id, { _tag: "FailHandOver", taskId, handOver, reason: "the daemon does not have it" })
  }
  return new Set(lacking.map(({ taskId }) => taskId))
})

describe("Invariants of the runtime", () => {
  it.effect("6: the state folded from the log is the live actor's, after every answer", () =>
    Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one", 2)
      const check = Effect.fnUntraced(function*() {
        const events = yield* eventsOf()
        const folded = events.reduce(Directive.evolve, Directive.empty(stream))
        const live = yield* ask({ _tag: "Wake" })
        assert.deepStrictEqual(live.answer, Directive.answerOf(folded))
        const held = (yield* Daemons).assignments(ownerId, daemon.daemonId).map(({ taskId }) => taskId)
        const open = events.filter((event) => event._tag === "TaskHandedOver").map(({ taskId }) => taskId)
        const ended = new Set(events.flatMap((event) => event._tag === "TaskCompleted" ? [event.taskId] : []))
        assert.sameMembers(held, open.filter((taskId) => !ended.has(taskId)))
      })
      yield* create([...chain, { name: "c" }])
      yield* check()
      while ((yield* statusOf()) !== "idle") {
        const task = yield* daemon.nextTask
        yield* daemon.report(task, "running")
        yield* check()
        yield* daemon.report(task, "completed")
        yield* check()
      }
    }).pipe(Effect.provide(runtime)))

  it.effect("10: nothing about one owner is visible to another, though everything has the same names", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      const mallory = OwnerId.make("mallory")
      const mine = yield* connectDaemon(ownerId, "same", 1)
      const theirs = yield* connectDaemon(mallory, "same", 1)
      const make = Effect.fnUntraced(function*(owner: OwnerId) {
        const id = directiveIdOf(owner, "same key")
        const command: DirectiveCommand = {
          _tag: "CreateDirective",
          ownerId: owner,
          title: "Greet",
          goal: `of ${owner}`,
          start: true
        }
        yield* directives.ask(id, command, { ownerId: owner, commandId: "same key" })
        return id
      })
      const id = yield* make(ownerId)
      const otherId = yield* make(mallory)
      assert.notStrictEqual(id, otherId)
      const task = yield* mine.nextTask
      assert.include(task.plan, `of ${ownerId}`)
      assert.include((yield* theirs.nextTask).plan, `of ${mallory}`)
      const before = yield* eventsOf(id)
      const attempts: ReadonlyArray<DirectiveCommand> = [
        { _tag: "PauseDirective" },
        { _tag: "InterruptTask", taskId: task.taskId },
        { _tag: "ReportTask", taskId: task.taskId, daemonId: theirs.daemonId, handOver: 1, status: "completed" },
        { _tag: "Wake" }
      ]
      for (const command of attempts) {
        const refused = yield* Effect.flip(directives.ask(id, command, { ownerId: mallory }))
        // The same answer as for a directive that does not exist.
        assert.strictEqual(refused._tag, "DirectiveNotFound")
      }
      assert.deepStrictEqual(yield* eventsOf(id), before)
      const log = yield* EventLog
      const fleets = yield* Effect.forEach(
        [ownerId, mallory],
        (owner) => Stream.runCollect(log.read(registryOf(owner)))
      )
      assert.deepStrictEqual(fleets.map(({ length }) => length), [1, 1])
    }).pipe(Effect.provide(runtime)))
})
