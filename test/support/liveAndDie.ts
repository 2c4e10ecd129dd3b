/** A server that dies at one append after the other, and a daemon that outlives it. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Queue } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { DirectiveCommand, NewStep } from "../../src/actors/DirectiveCommand.ts"
import type { SpawnTask } from "../../src/daemon/Protocol.ts"
import type { DaemonId, TaskId } from "../../src/events/Ids.ts"
import { ask, eventsOf, server, settle, statusOf, stream, tagsOf } from "./actors.ts"
import * as ControlledLog from "./controlledLog.ts"
import { directiveId, ownerId } from "./directive.ts"
import { connectDaemon } from "./fakeDaemon.ts"

/**
 * A directive whose server dies at the n-th append of each of its first two lives, while its daemon goes on by itself and
 * says again and again what it has to say. In the end everything is done, once.
 */
export const liveAndDie = Effect.fnUntraced(function*(steps: ReadonlyArray<NewStep>, dieAt: number, isAfter: boolean) {
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
