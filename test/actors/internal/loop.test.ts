import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { run } from "../../../src/actors/internal/loop.ts"
import { ActorUnavailable, close, mailboxCapacity, make, refTo } from "../../../src/actors/internal/mailbox.ts"
import { NodeName, Supervisor } from "../../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../../src/events/EventLog.ts"
import * as ControlledLog from "../../support/controlledLog.ts"
import { type Notebook, notebook, type NotebookCommand, type Refused, textOf, write } from "../../support/notebook.ts"

const stream = "notebook-1"

/** The loop alone, with nobody to start it again. */
const start = Effect.fnUntraced(function*(behaviour: Notebook = notebook()) {
  const mailbox = yield* make<NotebookCommand, number, Refused>()
  const fiber = yield* Effect.forkScoped(Effect.scoped(run(stream, behaviour, mailbox)))
  return { fiber, mailbox, ...refTo(stream, mailbox) }
})

const texts = Effect.flatMap(EventLog, (log) => Stream.runCollect(Stream.map(log.read(stream), textOf)))

/** Lets everything happen that can happen now. */
const settle = TestClock.adjust(0)

describe("loop", () => {
  it.effect("answers with the position from which on the answer can be read", () =>
    Effect.gen(function*() {
      const actor = yield* start()
      assert.deepStrictEqual(yield* actor.ask(write("a", "b")), { answer: 2, position: 2 })
      assert.deepStrictEqual(yield* actor.ask(write()), { answer: 2, position: 2 })
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("decides what arrives during an append together, on top of each other, and appends it once", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const actor = yield* start()
      yield* control.gate.close
      const first = yield* Effect.forkChild(actor.ask(write("first")))
      yield* settle
      const rest = yield* Effect.forEach(["a", "b", "c"], (text) => Effect.forkChild(actor.ask(write(text))))
      yield* settle
      assert.strictEqual(control.appends.length, 1)
      yield* control.gate.open
      assert.strictEqual((yield* Fiber.join(first)).answer, 1)
      const answers = yield* Effect.forEach(rest, Fiber.join)
      assert.deepStrictEqual(answers, [2, 3, 4].map((answer) => ({ answer, position: 4 })))
      assert.deepStrictEqual(control.appends.map(([append]) => append!.events.length), [1, 3])
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("answers only after the append, and then carries out what was decided", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const reacted: Array<string> = []
      const actor = yield* start(notebook(reacted))
      yield* control.gate.close
      const asked = yield* Effect.forkChild(actor.ask(write("a")))
      yield* settle
      assert.isUndefined(asked.pollUnsafe())
      assert.deepStrictEqual(reacted, [])
      yield* control.gate.open
      yield* Fiber.join(asked)
      assert.deepStrictEqual(yield* texts, ["a"])
      yield* settle
      assert.deepStrictEqual(reacted, ["a"])
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("refuses a command without a word to the others of its batch", () =>
    Effect.gen(function*() {
      const actor = yield* start()
      const outcomes = yield* Effect.forEach(
        [write("a"), { _tag: "Refuse" } as const, write("b")],
        (command) => Effect.result(actor.ask(command)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Success", "Failure", "Success"])
      assert.deepStrictEqual(yield* texts, ["a", "b"])
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("appends nothing where nothing was decided", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const actor = yield* start()
      yield* actor.ask(write())
      assert.deepStrictEqual(control.appends, [])
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("records with each event the command and the request that led to it", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const log = yield* EventLog
      const actor = yield* start()
      yield* control.gate.close
      yield* Effect.forkChild(actor.ask(write("zero")))
      yield* settle
      yield* Effect.forkChild(actor.ask(write("one", "two"), { commandId: "key-1" }))
      yield* Effect.forkChild(actor.ask(write("three"), { commandId: "key-2", correlationId: "request-2" }))
      yield* settle
      yield* control.gate.open
      yield* settle
      const recorded = yield* Stream.runCollect(log.read(stream))
      assert.deepStrictEqual(
        recorded.map((event) => [textOf(event), event.commandId, event.correlationId, event.causationId]),
        [
          ["zero", undefined, undefined, "Write"],
          ["one", "key-1", "key-1", "Write"],
          ["two", "key-1", "key-1", "notebook-1@2"],
          ["three", "key-2", "request-2", "Write"]
        ]
      )
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("adds its conclusion to the append, as what followed last from the batch", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const conclude: Notebook["conclude"] = (_, events) => events.length > 0 ? write("therefore") : undefined
      const actor = yield* start(notebook([], { conclude }))
      yield* actor.ask(write("a"), { correlationId: "request-1" })
      const [, event] = yield* Stream.runCollect(log.read(stream))
      assert.deepInclude(event, { correlationId: "request-1", causationId: "notebook-1@1" })
      assert.strictEqual(textOf(event!), "therefore")
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("settles everybody when the append fails, and ends", () =>
    Effect.gen(function*() {
      const actor = yield* start()
      const asking = Effect.forEach(["a", "b"], (text) => Effect.exit(actor.ask(write(text))), {
        concurrency: "unbounded"
      })
      const exits = yield* ControlledLog.whileFailing(() => true, asking)
      for (const exit of exits) {
        const because = "the event log could not be reached"
        assert.deepStrictEqual(exit, Exit.fail(new ActorUnavailable({ address: stream, because })))
      }
      assert.isTrue(Exit.isFailure(yield* Fiber.await(actor.fiber)))
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("settles who waits for an answer, for room, or for a closed mailbox when it is stopped", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const actor = yield* start()
      yield* control.gate.close
      const asking = (text: string) => Effect.forkChild(Effect.flip(actor.ask(write(text))))
      const taken = yield* asking("taken")
      yield* settle
      const waiting = yield* Effect.forEach(Array.from({ length: mailboxCapacity + 5 }, (_, i) => `${i}`), asking)
      yield* settle
      yield* Fiber.interrupt(actor.fiber)
      assert.strictEqual((yield* Fiber.join(taken))._tag, "ActorUnavailable")
      yield* close(stream, actor.mailbox, "it has stopped")
      for (const fiber of waiting) {
        assert.deepStrictEqual(
          yield* Fiber.join(fiber),
          new ActorUnavailable({ address: stream, because: "it has stopped" })
        )
      }
      assert.strictEqual((yield* Effect.flip(actor.ask(write("late"))))._tag, "ActorUnavailable")
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("has those who send more than the mailbox holds wait for room", () =>
    Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      const actor = yield* start()
      yield* control.gate.close
      yield* actor.tell(write("first"))
      yield* settle
      yield* Effect.forEach(Array.from({ length: mailboxCapacity }), () => actor.tell(write("more")), { discard: true })
      const last = yield* Effect.forkChild(actor.tell(write("last")))
      yield* settle
      assert.isUndefined(last.pollUnsafe())
      actor.nudge(write("lost"))
      yield* control.gate.open
      yield* Fiber.join(last)
      yield* actor.ask(write())
      const all = yield* texts
      assert.strictEqual(all.length, mailboxCapacity + 2)
      assert.notInclude(all, "lost")
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("does what it told itself on recovery before the first message", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const actor = yield* start(notebook([], { recovered: ({ texts }) => [write(`recovered ${texts.length}`)] }))
      yield* actor.ask(write("a"))
      assert.deepStrictEqual(yield* texts, ["recovered 0", "a"])
      assert.strictEqual((yield* Stream.runCollect(log.read(stream)))[0]!.causationId, "Write")
    }).pipe(Effect.provide(ControlledLog.layer)))

  it.effect("says that it has ended, with the state that is in the log, however it ends", () =>
    Effect.gen(function*() {
      const states: Array<number> = []
      const actor = yield* start(notebook([], { ended: ({ texts }) => void states.push(texts.length) }))
      yield* actor.ask(write("a"))
      yield* ControlledLog.whileFailing(() => true, Effect.exit(actor.ask(write("b"))))
      yield* Fiber.await(actor.fiber)
      assert.deepStrictEqual(states, [1])
    }).pipe(Effect.provide(ControlledLog.layer)))

  describe("timers", () => {
    it.effect("wakes the actor at its time, not before, and once", () =>
      Effect.gen(function*() {
        const actor = yield* start()
        yield* actor.ask({ _tag: "Remind", at: 5_000 })
        yield* TestClock.adjust("4999 millis")
        assert.notInclude(yield* texts, "reminded")
        yield* TestClock.adjust("1 millis")
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* texts).filter((text) => text === "reminded"), ["reminded"])
      }).pipe(Effect.provide(ControlledLog.layer)))

    it.effect("goes by the latest due time, be it earlier or later than the one before", () =>
      Effect.gen(function*() {
        const actor = yield* start()
        yield* actor.ask({ _tag: "Remind", at: 5_000 })
        yield* actor.ask({ _tag: "Remind", at: 9_000 })
        yield* TestClock.adjust("8 seconds")
        assert.notInclude(yield* texts, "reminded")
        yield* actor.ask({ _tag: "Remind", at: 8_500 })
        yield* TestClock.adjust("500 millis")
        assert.include(yield* texts, "reminded")
      }).pipe(Effect.provide(ControlledLog.layer)))

    it.effect("notices what becomes due while an append is under way", () =>
      Effect.gen(function*() {
        const control = yield* ControlledLog.Control
        // As a directive: what was due before a batch was decided has been seen to, and wants no waking.
        const dueAt: Notebook["dueAt"] = ({ dueAt }, now) => dueAt !== undefined && dueAt > now ? dueAt : undefined
        const actor = yield* start(notebook([], { dueAt }))
        yield* control.gate.close
        yield* Effect.forkChild(actor.ask({ _tag: "Remind", at: 5_000 }))
        yield* TestClock.adjust("10 seconds")
        yield* control.gate.open
        yield* settle
        yield* settle
        assert.include(yield* texts, "reminded")
      }).pipe(Effect.provide(ControlledLog.layer)))

    it.effect("keeps a due time that the log knows, also one that is past", () =>
      Effect.gen(function*() {
        const first = yield* start()
        yield* first.ask({ _tag: "Remind", at: 5_000 })
        yield* Fiber.interrupt(first.fiber)
        yield* TestClock.adjust("10 seconds")
        assert.notInclude(yield* texts, "reminded")
        yield* start()
        yield* settle
        yield* settle
        assert.include(yield* texts, "reminded")
      }).pipe(Effect.provide(ControlledLog.layer)))
  })

  describe("with two runtimes on one log", () => {
    const node = (name: string) => Supervisor.layer.pipe(Layer.provide(Layer.succeed(NodeName)(name)))
    const build = (name: string) =>
      Effect.map(Layer.build(Layer.fresh(node(name))), (context) => {
        const reacted: Array<string> = []
        const behaviour = notebook(reacted)
        const ask = (command: NotebookCommand) =>
          Supervisor.use((supervisor) => supervisor.actor(stream, behaviour)).pipe(
            Effect.provide(context),
            Effect.flatMap((ref) => ref.ask(command))
          )
        return { ask, reacted }
      })

    it.effect("lets one win each append; the other notices, comes back from the log, and never acts on what it lost", () =>
      Effect.gen(function*() {
        const one = yield* build("one")
        const two = yield* build("two")
        yield* one.ask(write("a"))
        assert.strictEqual((yield* two.ask(write("b"))).answer, 2)
        const lost = yield* Effect.flip(one.ask(write("never")))
        assert.strictEqual(
          lost.message,
          "notebook-1 cannot answer now: notebook-1 has been taken over: its epoch is 2, not 1"
        )
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* one.ask(write("c"))).answer, 3)
        assert.deepStrictEqual(yield* texts, ["a", "b", "c"])
        yield* settle
        assert.deepStrictEqual([one.reacted, two.reacted], [["a", "c"], ["b"]])
      }).pipe(Effect.provide(ControlledLog.layer)))

    it.effect("acknowledges exactly what is in the log, however often they collide", () =>
      Effect.gen(function*() {
        const runtimes = [yield* build("one"), yield* build("two")]
        const work = yield* Effect.forEach(Array.from({ length: 40 }, (_, i) => `${i}`), (text, i) =>
          Effect.option(Effect.as(runtimes[i % 2]!.ask(write(text)), text)), { concurrency: 4 }).pipe(Effect.forkChild)
        while (work.pollUnsafe() === undefined) {
          yield* TestClock.adjust("1 second")
        }
        const acknowledged = (yield* Fiber.join(work)).flatMap((one) =>
          Option.toArray(one)
        )
        assert.isAbove(acknowledged.length, 10)
        assert.sameMembers(acknowledged, [...(yield* texts)])
        yield* settle
        assert.sameMembers(
          runtimes.flatMap(({ reacted }) => reacted),
          [...(yield* texts)]
        )
      }).pipe(Effect.provide(ControlledLog.layer)))
  })

  it.effect("says that it ended, and why to who starts it: a defect of the rules is nothing for who asks", () =>
    Effect.gen(function*() {
      const actor = yield* start()
      const error = yield* Effect.flip(actor.ask({ _tag: "BreakDeciding" }))
      assert.notInclude(error.message, "a defect of the rules")
      const exit = yield* Fiber.await(actor.fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }).pipe(Effect.provide(ControlledLog.layer)))
})
