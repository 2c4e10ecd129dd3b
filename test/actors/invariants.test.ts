/** Invariants of spec section 10 that hold for the actors together. Those of one directive are in its property test. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { streamOf as registryOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { DirectiveCommand } from "../../src/actors/DirectiveCommand.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { directiveIdOf, OwnerId } from "../../src/events/Ids.ts"
import { ask, chain, create, eventsOf, runtime, statusOf, stream } from "../support/actors.ts"
import { ownerId } from "../support/directive.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"

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
