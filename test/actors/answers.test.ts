import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { type DirectiveCommand, KeyReused } from "../../src/actors/DirectiveCommand.ts"
import { answersMax } from "../../src/actors/DirectiveState.ts"
import { digestOf } from "../../src/actors/internal/answers.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { created, directiveId, ownerId, stream } from "../support/directive.ts"
import { given } from "../support/given.ts"
import { layerDatabase } from "../support/postgres.ts"

const set = (value: string): DirectiveCommand => ({ _tag: "SetMemory", key: "n", value })
const answer = { directiveId, status: "draft", goalRevision: 1 } as const

describe("An idempotency key, by the rules", () => {
  it("does not stand for two commands", () => {
    given(created, { _tag: "CommandAnswered", commandId: "key", command: "AddSteps", answer })
      .when(set("a"), { commandId: "key" })
      .thenRejects(new KeyReused({ commandId: "key", answered: "AddSteps", refused: "SetMemory" }))
  })

  it("does not stand for two commands of a kind either, and the refusal says so", () => {
    const first = set("a")
    given(created, { _tag: "CommandAnswered", commandId: "key", command: "SetMemory", digest: digestOf(first), answer })
      .when(set("b"), { commandId: "key" })
      .thenRejects(new KeyReused({ commandId: "key", answered: "SetMemory", refused: "SetMemory" }))
    assert.strictEqual(
      new KeyReused({ commandId: "key", answered: "SetMemory", refused: "SetMemory" }).message,
      "The idempotency key \"key\" was given to another SetMemory before: this SetMemory needs one of its own"
    )
    assert.strictEqual(
      new KeyReused({ commandId: "key", answered: "AddSteps", refused: "SetMemory" }).message,
      "The idempotency key \"key\" was given to the command AddSteps before: the command SetMemory needs one of its own"
    )
  })

  it("stands for what is asked for, in whatever order and with whatever is left out", () => {
    const update = (fields: object): DirectiveCommand => ({ _tag: "UpdateDirective", ...fields })
    assert.strictEqual(digestOf(update({ title: "T", goal: "G" })), digestOf(update({ goal: "G", title: "T" })))
    assert.strictEqual(digestOf(update({ title: "T", goal: undefined })), digestOf(update({ title: "T" })))
    assert.notStrictEqual(digestOf(update({ title: "T" })), digestOf(update({ goal: "T" })))
    assert.match(digestOf(update({})), /^[0-9a-f]{64}$/)
  })

  it("of an older log, which does not say what was asked for, gets its answer for any command of that kind", () => {
    given(created, { _tag: "CommandAnswered", commandId: "key", command: "SetMemory", answer })
      .when(set("b"), { commandId: "key" })
      .thenAnswers({ goalRevision: 1 })
  })

  it("of an older log, which does not say what it stood for, gets the answer that it got", () => {
    given(created, { _tag: "CommandAnswered", commandId: "key", answer: { ...answer, goalRevision: 7 } })
      .when(set("a"), { commandId: "key" })
      .thenAnswers({ goalRevision: 7 })
  })
})

/** Which keys the log was asked for. */
class Asked extends Context.Service<Asked, Array<string>>()("test/Asked") {}

const counted = Layer.effect(
  EventLog,
  Effect.gen(function*() {
    const log = yield* EventLog
    const asked = yield* Asked
    return EventLog.of({
      ...log,
      findAnswer: (stream, commandId) =>
        Effect.suspend(() => {
          asked.push(commandId)
          return log.findAnswer(stream, commandId)
        })
    })
  })
).pipe(Layer.provideMerge(Layer.sync(Asked, () => [])))

const actors = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer))
)

const create = { _tag: "CreateDirective", ownerId, title: "T", goal: "G" } as const

/** In a process of its own. */
const askAll = Effect.fnUntraced(function*(commands: ReadonlyArray<readonly [key: string, DirectiveCommand]>) {
  const log = yield* EventLog
  const asking = Effect.gen(function*() {
    const directives = yield* Directives
    return yield* Effect.forEach(
      commands,
      ([commandId, command]) =>
        Effect.match(directives.ask(directiveId, command, { commandId, ownerId }), {
          onFailure: (refusal) => refusal,
          onSuccess: ({ answer }) => answer
        }),
      { concurrency: "unbounded" }
    )
  })
  return yield* asking.pipe(Effect.provide(actors.pipe(Layer.provide(Layer.succeed(EventLog, log)))))
})

const steps = (name: string): DirectiveCommand => ({ _tag: "AddSteps", steps: [{ name }] })
const more = Array.from({ length: answersMax }, (_, index) => [`key-${index}`, set(`${index}`)] as const)

const length = Effect.flatMap(EventLog, (log) => Stream.runCount(log.read(stream)))

const suite = (name: string, layer: Layer.Layer<EventLog, unknown>) =>
  describe(`An idempotency key, with ${name}`, () => {
    it.effect("gets its first answer again when the state has long let go of it, also after a restart", () =>
      Effect.gen(function*() {
        const asked = yield* Asked
        yield* askAll([["create", create]])
        const [first] = yield* askAll([["steps", steps("a")]])
        assert.deepInclude(first, { status: "draft", goalRevision: 1 })
        yield* askAll(more)
        const before = yield* length
        const [again, changed, other] = yield* askAll([["steps", steps("a")], ["steps", steps("b")], [
          "steps",
          set("b")
        ]])
        assert.deepStrictEqual(again, first)
        assert.deepStrictEqual(
          changed,
          new KeyReused({ commandId: "steps", answered: "AddSteps", refused: "AddSteps" })
        )
        assert.deepStrictEqual(
          other,
          new KeyReused({ commandId: "steps", answered: "AddSteps", refused: "SetMemory" })
        )
        assert.strictEqual(yield* length, before)
        assert.deepStrictEqual([...new Set(asked)].filter((key) => !key.startsWith("key-")), ["steps"])
      }).pipe(Effect.provide(counted.pipe(Layer.provide(layer)))))

    it.effect("is looked for in the log only where one may have been let go of", () =>
      Effect.gen(function*() {
        const asked = yield* Asked
        yield* askAll([["create", create], ...more.slice(1)])
        yield* askAll([["create", create], ...more.slice(1)])
        assert.deepStrictEqual(asked, [])
        yield* askAll(more)
        assert.deepStrictEqual(asked, ["key-0"])
        yield* askAll([["new", set("new")]])
        assert.deepStrictEqual(asked, ["key-0", "new"])
      }).pipe(Effect.provide(counted.pipe(Layer.provide(layer)))))

    it.effect("gets its answer again within the batch that let go of it", () =>
      Effect.gen(function*() {
        yield* askAll([["create", create]])
        const [first, ...others] = yield* askAll([["steps", steps("a")], ...more, ["steps", steps("a")]])
        assert.deepStrictEqual(others.at(-1), first)
        const log = yield* EventLog
        const all = yield* Stream.runCollect(log.read(stream))
        assert.strictEqual(all.filter(({ event }) => event._tag === "StepAdded").length, 1)
      }).pipe(Effect.provide(layer)))
  })

suite("the log in memory", EventLog.layerMemory)
suite("the log in PostgreSQL", PostgresEventLog.layer.pipe(Layer.provide(layerDatabase)))
