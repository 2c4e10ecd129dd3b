/**
 * A log whose connection is cut before, during or after a commit: what became of an append is asked of the log, and
 * never guessed. Crashes of the server are in `crash.test.ts`.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Option, Stream } from "effect"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { NodeName, Supervisor } from "../../src/actors/SupervisorActor.ts"
import { EventLog, type EventLogError } from "../../src/events/EventLog.ts"
import { layerActors } from "../../src/Makima.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { holdLog, openLog, untilWaiting } from "../support/logs.ts"
import { notebook, textOf, write } from "../support/notebook.ts"
import { connection, freshDatabase, layerAdmin } from "../support/postgres.ts"
import { makeProxy, type Moment } from "../support/proxy.ts"
import { facts } from "./EventLogContract.ts"

const about = { at: 1_700_000_000_000 }
const stream = "cut"

/** A database, its log as one sees it directly, and the log of a process that is connected through a proxy. */
const setUp = Effect.gen(function*() {
  const name = yield* freshDatabase
  const proxy = yield* makeProxy(connection(name))
  return { name, proxy, log: yield* openLog(name, proxy.place), direct: yield* openLog(name) }
})

const put = (log: EventLog["Service"], expected: number, ...values: ReadonlyArray<string>) =>
  log.append([{ stream, expected, events: facts(...values) }], about)

const outcomeOf = <A, E extends { readonly _tag: string }, R>(append: Effect.Effect<A, E | EventLogError, R>) =>
  Effect.map(Effect.flip(append), (error) => "outcome" in error ? error.outcome : error._tag)

const textsIn = (log: EventLog["Service"], stream: string) => Stream.runCollect(Stream.map(log.read(stream), textOf))

/** What there is, once nothing that is under way can come any more. */
const settledTexts = (log: EventLog["Service"]) => Effect.andThen(log.claim([stream], "asking"), textsIn(log, stream))

describe("An append whose connection is cut", () => {
  it.live("before the server has it is unknown, and the log says that nothing was appended", () =>
    Effect.gen(function*() {
      const { log, proxy } = yield* setUp
      yield* put(log, 0, "there")
      const cut = yield* proxy.cut("before", "marked")
      assert.strictEqual(yield* outcomeOf(put(log, 1, "marked")), "unknown")
      yield* cut
      assert.deepStrictEqual(yield* settledTexts(log), ["there"])
      yield* put(log, 1, "marked")
      assert.deepStrictEqual(yield* textsIn(log, stream), ["there", "marked"])
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("while the server is at work on it is unknown, and the log has it when it answers", () =>
    Effect.gen(function*() {
      const { log, name, proxy } = yield* setUp
      const holder = yield* holdLog(name)
      const cut = yield* proxy.cut("during", "marked")
      assert.strictEqual(yield* outcomeOf(put(log, 0, "marked")), "unknown")
      yield* cut
      yield* untilWaiting(name, 1)
      // The server still has it, and commits it as soon as it can: a read that comes too early shows nothing.
      assert.deepStrictEqual(yield* textsIn(log, stream), [])
      const settled = yield* Effect.forkScoped(settledTexts(log))
      yield* untilWaiting(name, 2)
      yield* holder.rollback
      assert.deepStrictEqual(yield* Fiber.join(settled), ["marked"])
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("after the commit is unknown, and the log has it once, however often it is tried", () =>
    Effect.gen(function*() {
      const { log, proxy } = yield* setUp
      const cut = yield* proxy.cut("after", "marked")
      assert.strictEqual(yield* outcomeOf(put(log, 0, "marked")), "unknown")
      yield* cut
      assert.strictEqual(yield* outcomeOf(put(log, 0, "marked")), "VersionConflict")
      assert.deepStrictEqual(yield* settledTexts(log), ["marked"])
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("says in its message that nobody knows", () =>
    Effect.gen(function*() {
      const { log, proxy } = yield* setUp
      yield* proxy.cut("after", "marked")
      const error = yield* Effect.flip(put(log, 0, "marked"))
      assert.match(error.message, /^The event log failed to append: .*; whether it was committed is not known$/)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("takes with it those in its group, and nobody who waits for the next one", () =>
    Effect.gen(function*() {
      const { log, name, proxy } = yield* setUp
      const holder = yield* holdLog(name)
      yield* proxy.cut("after", "marked")
      const first = yield* Effect.forkScoped(outcomeOf(put(log, 0, "marked")))
      yield* untilWaiting(name, 1)
      const others = yield* Effect.forEach(["a", "b", "c"], (stream) =>
        Effect.forkScoped(log.append([{ stream, expected: 0, events: facts(stream) }], about), {
          startImmediately: true
        }))
      yield* holder.rollback
      assert.strictEqual(yield* Fiber.join(first), "unknown")
      for (const other of others) {
        assert.strictEqual((yield* Fiber.join(other)).length, 1)
      }
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
})

describe("An append that fails", () => {
  it.live("has done nothing where there is no server to connect to", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const log = yield* openLog(name, { host: "/nowhere" })
      assert.strictEqual(yield* outcomeOf(put(log, 0, "a")), "nothing")
      assert.strictEqual(yield* outcomeOf(log.claim([stream], "nobody")), "nothing")
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("has done nothing where the server says that it failed", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const log = yield* openLog(name, { startupParameters: { lock_timeout: "20ms" } })
      const holder = yield* holdLog(name)
      assert.strictEqual(yield* outcomeOf(put(log, 0, "a")), "nothing")
      yield* holder.rollback
      assert.strictEqual((yield* put(log, 0, "a")).length, 1)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("may have done something where the server ends the connection", () =>
    Effect.gen(function*() {
      const { log, name } = yield* setUp
      const sql = yield* PgClient
      const holder = yield* holdLog(name)
      const outcome = yield* Effect.forkScoped(outcomeOf(put(log, 0, "a")))
      yield* untilWaiting(name, 1)
      yield* sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${name} AND wait_event_type = 'Lock'`
      assert.strictEqual(yield* Fiber.join(outcome), "unknown")
      yield* holder.rollback
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
})

describe("An actor whose append is cut", () => {
  const moments: ReadonlyArray<readonly [Moment, ReadonlyArray<string>]> = [
    ["before", ["there", "next"]],
    ["during", ["there", "marked", "next"]],
    ["after", ["there", "marked", "next"]]
  ]
  for (const [moment, expected] of moments) {
    it.live(`${moment} the commit comes back from the log with what is there`, () =>
      Effect.gen(function*() {
        const { direct, log, proxy } = yield* setUp
        const reacted: Array<string> = []
        const ask = yield* Effect.gen(function*() {
          const supervisor = yield* Layer.build(Layer.fresh(Supervisor.layer))
          const behaviour = notebook(reacted)
          return (...texts: ReadonlyArray<string>) =>
            Supervisor.use((supervisor) => supervisor.actor(stream, behaviour)).pipe(
              Effect.flatMap((actor) => actor.ask(write(...texts))),
              Effect.provide(supervisor)
            )
        }).pipe(Effect.provideService(EventLog, log))
        yield* ask("there")
        const cut = yield* proxy.cut(moment, "marked")
        assert.strictEqual((yield* Effect.flip(ask("marked")))._tag, "ActorUnavailable")
        yield* cut
        // It waits for the actor, which has claimed its stream before it reads: nothing comes in behind its back.
        assert.strictEqual((yield* ask("next")).answer, expected.length)
        assert.deepStrictEqual(yield* textsIn(direct, stream), expected)
        assert.notInclude(reacted, "marked")
      }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
  }

  it.live("gives a repeated key the answer that nobody heard, and does it once", () =>
    Effect.gen(function*() {
      const { direct, log, proxy } = yield* setUp
      const actors = yield* Layer.build(Layer.fresh(layerActors)).pipe(Effect.provideService(EventLog, log))
      const ask = (commandId: string) =>
        Directives.use((directives) =>
          directives.ask(
            directiveId,
            { _tag: "CreateDirective", ownerId, title: "marked", goal: "Say hello" },
            { ownerId, commandId }
          )
        ).pipe(Effect.provide(actors))
      for (const moment of ["before", "after"] as const) {
        const cut = yield* proxy.cut(moment, "marked")
        assert.strictEqual((yield* Effect.flip(ask("key")))._tag, "ActorUnavailable")
        yield* cut
      }
      const { answer } = yield* ask("key")
      assert.deepStrictEqual((yield* ask("key")).answer, answer)
      const events = yield* Stream.runCollect(direct.read(`directive-${directiveId}`))
      assert.deepStrictEqual(events.map(({ event }) => event._tag), ["DirectiveCreated", "CommandAnswered"])
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
})

describe("A claim that reaches the server long after it was given up", () => {
  it.live("has the actor of the same process come back from the log by itself", () =>
    Effect.gen(function*() {
      const { direct, log, proxy } = yield* setUp
      const arrive = yield* proxy.holdBack("marked")
      assert.strictEqual(yield* outcomeOf(log.claim(["marked"], "one")), "unknown")

      const supervisor = yield* Layer.build(Layer.fresh(Supervisor.layer)).pipe(
        Effect.provideService(EventLog, direct),
        Effect.provideService(NodeName, "one")
      )
      const remind = (at: number) =>
        Supervisor.use((supervisor) => supervisor.actor("marked", notebook())).pipe(
          Effect.flatMap((actor) => actor.ask({ _tag: "Remind", at })),
          Effect.provide(supervisor)
        )
      yield* remind((yield* Clock.currentTimeMillis) + 500)
      yield* arrive
      assert.deepInclude(yield* direct.streamHead("marked"), { epoch: 2, owner: "one" })
      const noted = yield* direct.subscribe({ after: 0 }).pipe(
        Stream.filter((event) => event.stream === "marked" && textOf(event) === "reminded"),
        Stream.runHead
      )
      assert.isTrue(Option.isSome(noted))
      assert.deepInclude(yield* direct.streamHead("marked"), { epoch: 3, owner: "one" })
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("is refused if its process has lost everything meanwhile", () =>
    Effect.gen(function*() {
      const { direct, log, proxy } = yield* setUp
      const [epoch] = yield* log.claim(["node-one"], "one")
      const arrive = yield* proxy.holdBack("marked")
      const claim = log.claim(["marked"], "one", { stream: "node-one", epoch: epoch! })
      assert.strictEqual(yield* outcomeOf(claim), "unknown")
      yield* direct.claim(["node-one"], "two")
      const [current] = yield* direct.claim(["marked"], "two")
      yield* arrive
      assert.deepInclude(yield* direct.streamHead("marked"), { epoch: 1, owner: "two" })
      const append = { stream: "marked", expected: 0, epoch: current!, events: facts("there") }
      assert.lengthOf(yield* direct.append([append], about), 1)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
})
