import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { OwnerId } from "../../src/events/Ids.ts"
import type { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId } from "../support/directive.ts"
import { type Notebook, notebook, type NotebookCommand, textOf, write } from "../support/notebook.ts"

const own = "supervisor-local"
const runtime = Supervisor.layer.pipe(Layer.provideMerge(ControlledLog.layer))

/** A notebook at an address: how to ask it, and what it has carried out. */
const open = Effect.fnUntraced(function*(address: string, options: Partial<Notebook> = {}) {
  const supervisor = yield* Supervisor
  const reacted: Array<string> = []
  const behaviour = notebook(reacted, options)
  const ref = supervisor.actor(address, behaviour)
  return {
    reacted,
    ask: (command: NotebookCommand) => Effect.flatMap(ref, (actor) => actor.ask(command)),
    ref
  }
})

const history = Effect.flatMap(EventLog, (log) =>
  Stream.runCollect(Stream.map(log.read(own), ({ event }) => {
    const { _tag, ...fields } = event as SupervisorEvent
    return `${_tag} ${"address" in fields ? fields.address : ""}`
  })))

const texts = (address: string) =>
  Effect.flatMap(EventLog, (log) => Stream.runCollect(Stream.map(log.read(address), textOf)))

const settle = TestClock.adjust(0)
const restarted = TestClock.adjust(defaultPolicy.restartDelayMillis)

describe("SupervisorActor", () => {
  it.effect("restarts an actor that fails from the log, and leaves the others alone", () =>
    Effect.gen(function*() {
      const recoveries: Array<string> = []
      const counting = (name: string) => ({
        recovered: ({ texts }: { readonly texts: ReadonlyArray<string> }) => {
          recoveries.push(`${name} ${texts.join("+")}`)
          return []
        }
      })
      const one = yield* open("one", counting("one"))
      const two = yield* open("two", counting("two"))
      yield* one.ask(write("a"))
      yield* two.ask(write("x"))
      yield* Effect.flip(one.ask({ _tag: "BreakDeciding" }))
      assert.strictEqual((yield* two.ask(write("y"))).answer, 2)
      yield* restarted
      assert.strictEqual((yield* one.ask(write("b"))).answer, 2)
      assert.deepStrictEqual(recoveries, ["one ", "two ", "one a"])
    }).pipe(Effect.provide(runtime)))

  it.effect("keeps the messages that wait in the mailbox of an actor that fails", () =>
    Effect.gen(function*() {
      const one = yield* open("one")
      yield* one.ask(write())
      const broken = yield* Effect.forkChild(Effect.exit(one.ask({ _tag: "BreakDeciding" })))
      yield* settle
      const waiting = yield* Effect.forEach(["a", "b"], (text) => Effect.forkChild(one.ask(write(text))))
      assert.isTrue(Exit.isFailure(yield* Fiber.join(broken)))
      yield* restarted
      assert.deepStrictEqual((yield* Effect.forEach(waiting, Fiber.join)).map(({ answer }) => answer), [1, 2])
    }).pipe(Effect.provide(runtime)))

  it.effect("takes a defect of the rules for a failure, and records it with its cause", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const one = yield* open("one")
      yield* Effect.flip(one.ask({ _tag: "BreakDeciding" }))
      yield* restarted
      yield* one.ask(write("a"))
      assert.deepStrictEqual(yield* history, [
        "ActorStarted one",
        "ActorFailed one",
        "ActorRestartScheduled one",
        "ActorStarted one"
      ])
      const failed = (yield* Stream.runCollect(log.read(own)))[1]!.event
      assert.isTrue(failed._tag === "ActorFailed" && failed.cause.includes("a defect of the rules"))
    }).pipe(Effect.provide(runtime)))

  it.effect("takes a defect of the effects for a failure: what was answered stays so, and the actor comes back", () =>
    Effect.gen(function*() {
      const one = yield* open("one")
      assert.strictEqual((yield* one.ask({ _tag: "BreakReacting" })).answer, 1)
      yield* restarted
      assert.strictEqual((yield* one.ask(write("after"))).answer, 2)
      assert.include(yield* history, "ActorFailed one")
    }).pipe(Effect.provide(runtime)))

  it.effect("takes an interruption from within for a failure as well", () =>
    Effect.gen(function*() {
      let isFirst = true
      const one = yield* open("one", {
        react: () =>
          Effect.suspend(() => {
            if (!isFirst) return Effect.void
            isFirst = false
            return Effect.interrupt
          })
      })
      yield* one.ask(write("a"))
      yield* restarted
      assert.strictEqual((yield* one.ask(write("b"))).answer, 2)
      assert.include(yield* history, "ActorFailed one")
    }).pipe(Effect.provide(runtime)))

  const failUntilParked = Effect.fnUntraced(
    function*(one: { readonly ask: (command: NotebookCommand) => Effect.Effect<unknown, unknown> }) {
      for (let failures = 0; failures <= defaultPolicy.restartsMax; failures++) {
        yield* Effect.flip(one.ask({ _tag: "BreakDeciding" }))
        yield* TestClock.adjust("5 seconds")
      }
    }
  )

  it.effect("parks an actor that keeps failing: it refuses at once and for as long as nobody resumes it", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const one = yield* open("one")
      assert.isTrue(Option.isNone(yield* supervisor.parked("one")))
      assert.isFalse(yield* supervisor.resume("one"))
      yield* failUntilParked(one)
      for (const wait of ["0 seconds", "1 day"] as const) {
        yield* TestClock.adjust(wait)
        const refusal = yield* Effect.flip(one.ask(write("a")))
        assert.match(
          refusal.message,
          /^one cannot answer now: it failed too often and is parked since 1970-01-01T00:00:25.000Z, until it is resumed: it has a defect; the server's log says which$/
        )
        assert.isTrue(refusal._tag === "ActorUnavailable" && refusal.parked?.since === 25_000)
      }
      assert.deepStrictEqual(
        yield* supervisor.parked("one"),
        Option.some({
          since: 25_000,
          cause: "it has a defect; the server's log says which"
        })
      )
      assert.strictEqual((yield* history).at(-1), "ActorParked one")
      assert.deepStrictEqual(yield* supervisor.running, [])
    }).pipe(Effect.provide(runtime)))

  it.effect("does not say of an actor that it is stopping when it is parked for interruptions from within", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const one = yield* open("one", { react: () => Effect.interrupt })
      for (let failures = 0; failures <= defaultPolicy.restartsMax; failures++) {
        yield* Effect.exit(one.ask(write("a")))
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual(Option.getOrThrow(yield* supervisor.parked("one")).cause, "it was interrupted from within")
    }).pipe(Effect.provide(runtime)))

  it.effect("lets a parked actor run again when it is resumed, and parks it again when its cause is still there", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const one = yield* open("one")
      yield* failUntilParked(one)
      assert.isTrue(yield* supervisor.resume("one"))
      assert.isTrue(Option.isNone(yield* supervisor.parked("one")))
      assert.strictEqual((yield* one.ask(write("a"))).answer, 1)
      assert.deepStrictEqual((yield* history).slice(-2), ["ActorResumed one", "ActorStarted one"])
      yield* failUntilParked(one)
      assert.isTrue(Option.isSome(yield* supervisor.parked("one")))
      assert.strictEqual((yield* history).at(-1), "ActorParked one")
    }).pipe(Effect.provide(runtime)))

  it.effect("lets a parked actor run again, and tells who waits for that, also where whoever resumed it has left", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const { gate } = yield* ControlledLog.Control
      const one = yield* open("one")
      yield* failUntilParked(one)
      const waiting = yield* Effect.forkChild(supervisor.awaitResumed("one"))
      gate.closeUnsafe()
      const resuming = yield* Effect.forkChild(supervisor.resume("one"))
      yield* settle
      yield* Fiber.interrupt(resuming)
      gate.openUnsafe()
      yield* settle
      assert.strictEqual((yield* history).at(-1), "ActorResumed one")
      assert.isTrue(Option.isNone(yield* supervisor.parked("one")))
      assert.strictEqual((yield* one.ask(write("a"))).answer, 1)
      yield* Fiber.join(waiting)
    }).pipe(Effect.provide(runtime)))

  it.effect("tells those who wait for a parked actor that it is parked", () =>
    Effect.gen(function*() {
      const one = yield* open("one", {
        recovered: () => {
          throw new Error("it never comes up")
        }
      })
      const asked = yield* Effect.forkChild(Effect.flip(one.ask(write("a"))))
      yield* Effect.repeat(TestClock.adjust("1 second"), { times: 20 })
      assert.include((yield* Fiber.join(asked)).message, "it failed too often and is parked")
    }).pipe(Effect.provide(runtime)))

  it.effect("survives a log that fails for a while, and records afterwards what happened meanwhile", () =>
    Effect.gen(function*() {
      const one = yield* open("one")
      yield* one.ask(write("a"))
      const outage = Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(one.ask(write("lost"))))._tag, "ActorUnavailable")
        const two = yield* open("two")
        const early = yield* Effect.forkChild(Effect.exit(two.ask(write("too early"))))
        yield* Effect.repeat(TestClock.adjust("10 seconds"), { times: 12 })
        assert.isTrue(Exit.isFailure(yield* Fiber.join(early)))
        return two
      })
      const two = yield* ControlledLog.whileFailing(() => true, outage)
      yield* Effect.repeat(TestClock.adjust("5 seconds"), { times: 4 })
      assert.strictEqual((yield* one.ask(write("b"))).answer, 2)
      assert.strictEqual((yield* two.ask(write("x"))).answer, 1)
      const all = yield* history
      // However long the log was away, that is one failure of each actor: nobody was parked for it.
      assert.sameMembers([...all], [
        "ActorStarted one",
        "ActorFailed one",
        "ActorRestartScheduled one",
        "ActorStarted one",
        "ActorStarted two",
        "ActorFailed two",
        "ActorRestartScheduled two",
        "ActorStarted two"
      ])
    }).pipe(Effect.provide(runtime)))

  it.effect("comes back from the log when an append was committed and the answer was lost", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const one = yield* open("one")
      yield* one.ask(write("a"))
      control.failsAfterwards = (stream) => stream === "one"
      yield* Effect.flip(one.ask(write("b")))
      control.failsAfterwards = () => false
      yield* restarted
      assert.strictEqual((yield* one.ask(write("c"))).answer, 3)
      assert.deepStrictEqual(yield* texts("one"), ["a", "b", "c"])
      assert.deepStrictEqual(one.reacted, ["a"])
    }).pipe(Effect.provide(runtime)))

  it.effect("leaves no actor behind that nobody runs, whenever whoever starts it leaves", () =>
    Effect.gen(function*() {
      // A fiber can be interrupted wherever it gives way, which it does after so many operations.
      for (const operations of [3, 4, 5, 6]) {
        for (let turns = 0; turns < 16; turns++) {
          const one = yield* open(`${operations} ${turns}`)
          const starting = yield* Effect.forkChild(
            Effect.provideService(one.ref, Scheduler.MaxOpsBeforeYield, operations)
          )
          yield* Effect.repeat(Effect.yieldNow, { times: turns })
          yield* Fiber.interrupt(starting)
          const asking = yield* Effect.forkChild(one.ask(write("a")))
          const isAnswered = Effect.sync(() => asking.pollUnsafe() !== undefined)
          yield* Effect.repeat(Effect.andThen(Effect.yieldNow, isAnswered), { until: (is) => is, times: 2_000 })
          assert.isDefined(asking.pollUnsafe(), `after ${turns} turns of ${operations}`)
        }
      }
    }).pipe(Effect.provide(runtime)))

  it.effect("stops an actor, which settles who waits for it, and starts it from the log when it is asked again", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const control = yield* ControlledLog.Control
      const one = yield* open("one")
      yield* one.ask(write("a"))
      yield* control.gate.close
      const asked = yield* Effect.forkChild(Effect.flip(one.ask(write("b"))))
      yield* settle
      yield* supervisor.stop("one")
      yield* control.gate.open
      assert.strictEqual((yield* Fiber.join(asked)).message, "one cannot answer now: it is stopping")
      assert.deepStrictEqual(yield* supervisor.running, [])
      assert.strictEqual((yield* one.ask(write("c"))).answer, 2)
      yield* settle
      assert.deepStrictEqual(yield* history, ["ActorStarted one", "ActorStopped one", "ActorStarted one"])
      yield* supervisor.stop("nobody")
      assert.notInclude(yield* history, "ActorStopped nobody")
    }).pipe(Effect.provide(runtime)))

  it.effect("stops all in the reverse order of their start, settles everybody, and records it", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Supervisor.layer, scope)
      const stopped: Array<string> = []
      const ask = yield* Effect.forEach(["one", "two", "three"], (address) =>
        Effect.map(
          open(address, { ended: () => void stopped.push(address) }),
          ({ ask }) => (text: string) => ask(write(text)).pipe(Effect.provide(context))
        )).pipe(Effect.provide(context))
      for (const one of ask) yield* one("a")
      yield* settle
      yield* control.gate.close
      const waiting = yield* Effect.forEach(ask, (one) => Effect.forkChild(Effect.flip(one("b"))))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      for (const fiber of waiting) assert.strictEqual((yield* Fiber.join(fiber))._tag, "ActorUnavailable")
      yield* control.gate.open
      yield* Fiber.join(closing)
      assert.deepStrictEqual(stopped, ["three", "two", "one"])
      assert.deepStrictEqual((yield* history).slice(-3), [
        "ActorStopped three",
        "ActorStopped two",
        "ActorStopped one"
      ])
      assert.include((yield* Effect.flip(ask[0]!("late"))).message, "everything is stopping")
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("does not wait for ever for a log that is away when it stops", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Supervisor.layer, scope)
      const one = yield* Effect.provide(open("one"), context)
      yield* one.ask(write("a")).pipe(Effect.provide(context))
      const closing = yield* ControlledLog.whileFailing(
        () => true,
        Effect.tap(Effect.forkChild(Scope.close(scope, Exit.void)), () => TestClock.adjust("3 seconds"))
      )
      yield* Fiber.join(closing)
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("starts nothing and writes nothing for a directive that does not exist", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const supervisor = yield* Supervisor
      const directives = yield* Directives
      for (const options of [{}, { ownerId: OwnerId.make("ada") }]) {
        for (const command of [{ _tag: "PauseDirective" }, { _tag: "ResumeDirective" }, { _tag: "Wake" }] as const) {
          const error = yield* Effect.flip(directives.ask(directiveId, command, options))
          assert.strictEqual(error._tag, "DirectiveNotFound")
        }
      }
      yield* directives.resume(directiveId)
      assert.strictEqual(yield* directives.reconcile, 0)
      yield* settle
      assert.deepStrictEqual(yield* supervisor.running, [])
      assert.strictEqual(yield* log.head, 0)
      assert.strictEqual((yield* log.streamHead(Directive.streamOf(directiveId))).epoch, 0)
    }).pipe(Effect.provide(
      DaemonRegistries.layer.pipe(
        Layer.provideMerge(Directives.layer),
        Layer.provideMerge(Daemons.layer),
        Layer.provideMerge(runtime)
      )
    )))
})
