/** Several processes on one database: in which order their events appear, and who may write. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Queue, Stream } from "effect"
import { defaultPolicy } from "../../src/actors/Supervisor.ts"
import { NodeName, Supervisor, SupervisorPolicy } from "../../src/actors/SupervisorActor.ts"
import { EventLog, type StreamAppend } from "../../src/events/EventLog.ts"
import type { LoggedEvent } from "../../src/events/Unreadable.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import { holdLog, openLog, untilWaiting } from "../support/logs.ts"
import { notebook, textOf, write } from "../support/notebook.ts"
import { connection, freshDatabase, layerAdmin } from "../support/postgres.ts"
import { facts } from "./EventLogContract.ts"

const about = { at: 1_700_000_000_000 }
const part = (stream: string, ...values: ReadonlyArray<string>): StreamAppend => (
  { stream, expected: "any", events: facts(...values) }
)
const textsOf = (events: ReadonlyArray<LoggedEvent>) => events.map(textOf)

describe("A writer that is idle within a transaction", () => {
  for (const end of ["commit", "rollback"] as const) {
    it.live(`keeps readers and subscribers from passing what it may still ${end}`, () =>
      Effect.gen(function*() {
        const name = yield* freshDatabase
        const logs = [yield* openLog(name), yield* openLog(name)] as const
        yield* logs[0].append([part("seen", "first")], about)
        const seen = yield* Queue.unbounded<string>()
        const followers = yield* Effect.forEach(logs, (log) =>
          log.subscribe().pipe(
            Stream.tap((event) => Queue.offer(seen, textOf(event))),
            Stream.take(end === "commit" ? 4 : 3),
            Stream.runCollect,
            Effect.forkScoped
          ))
        assert.deepStrictEqual([yield* Queue.take(seen), yield* Queue.take(seen)], ["first", "first"])

        const idle = yield* holdLog(name, [part("idle", "idle")])
        const writing = yield* Effect.forEach(
          logs,
          (log, i) => Effect.forkScoped(log.append([part(`writer-${i}`, `behind ${i}`)], about))
        )
        yield* untilWaiting(name, 2)
        for (const log of logs) {
          assert.deepStrictEqual(textsOf(yield* Stream.runCollect(log.readAll())), ["first"])
          assert.strictEqual(yield* log.head, 1)
        }
        assert.strictEqual(yield* Queue.size(seen), 0)

        yield* idle[end]
        for (const fiber of writing) yield* Fiber.join(fiber)
        const all = yield* Stream.runCollect(logs[0].readAll())
        assert.deepStrictEqual(textsOf(all).slice(0, -2), end === "commit" ? ["first", "idle"] : ["first"])
        assert.sameMembers(textsOf(all).slice(-2), ["behind 0", "behind 1"])
        assert.deepStrictEqual(all.map(({ position }) => position), all.map((_, i) => i + 1))
        for (const follower of followers) assert.deepStrictEqual(yield* Fiber.join(follower), all)
      }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
  }
})

describe("Two runtimes on one database", () => {
  const stream = "notebook"
  const runtime = Effect.fnUntraced(function*(database: string, node: string, awayMillis = defaultPolicy.awayMillis) {
    const log = yield* openLog(database)
    const services = yield* Layer.build(Layer.fresh(Supervisor.layer)).pipe(
      Effect.provideService(EventLog, log),
      Effect.provideService(NodeName, node),
      Effect.provideService(SupervisorPolicy, { ...defaultPolicy, awayMillis })
    )
    const reacted: Array<string> = []
    const behaviour = notebook(reacted)
    const ask = (...texts: ReadonlyArray<string>) =>
      Supervisor.use((supervisor) => supervisor.actor(stream, behaviour)).pipe(
        Effect.flatMap((actor) => actor.ask(write(...texts))),
        Effect.provide(services)
      )
    const isElsewhere = Effect.provide(Supervisor.use((one) => Effect.sync(() => one.isElsewhere(stream))), services)
    return { log, ask, reacted, isElsewhere, services }
  })

  it.live("fence off who has lost a stream: nothing of it is visible, and who asked is told", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const [one, two] = [yield* runtime(name, "one"), yield* runtime(name, "two")]
      yield* one.ask("a")
      assert.strictEqual((yield* two.ask("b")).answer, 2)
      const refused = yield* Effect.forEach([1, 2, 3], (n) => Effect.flip(one.ask(`never ${n}`)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(refused.map(({ _tag }) => _tag), Array(3).fill("ActorUnavailable"))
      assert.include(refused[0]!.message, "notebook has been taken over: its epoch is 2, not 1")
      assert.deepStrictEqual(textsOf(yield* Stream.runCollect(two.log.read(stream))), ["a", "b"])
      assert.deepStrictEqual(one.reacted, ["a"])
      assert.strictEqual((yield* two.ask("c")).answer, 3)

      const takenOver = yield* one.log.subscribe().pipe(
        Stream.filter(({ event }) => event._tag === "ActorTakenOver"),
        Stream.runHead
      )
      assert.deepInclude(takenOver, { _tag: "Some" })
      assert.isTrue(yield* one.isElsewhere)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("give a stream back to whom a message comes", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const [one, two] = [yield* runtime(name, "one", 0), yield* runtime(name, "two", 0)]
      yield* one.ask("a")
      yield* two.ask("b")
      yield* Effect.flip(one.ask("never"))
      assert.strictEqual((yield* Effect.retry(one.ask("c"), { times: 100 })).answer, 3)
      assert.isFalse(yield* one.isElsewhere)
      yield* Effect.flip(two.ask("never"))
      assert.deepStrictEqual(textsOf(yield* Stream.runCollect(two.log.read(stream))), ["a", "b", "c"])
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))

  it.live("claim many streams in few commits", () =>
    Effect.gen(function*() {
      const name = yield* freshDatabase
      const { services } = yield* runtime(name, "one")
      yield* Effect.forEach(Array.from({ length: 300 }, (_, i) => `actor-${i}`), (address) =>
        Supervisor.use((supervisor) =>
          supervisor.actor(address, notebook())
        ).pipe(
          Effect.flatMap((actor) => actor.ask(write())),
          Effect.provide(services)
        ), { concurrency: "unbounded", discard: true })
      const [row] = yield* PgClient.use((sql) =>
        sql<{ readonly transactions: bigint; readonly owners: bigint }>`
          SELECT count(DISTINCT xmin::text) AS transactions, count(*) AS owners
          FROM stream_owners WHERE stream LIKE 'actor-%'`
      ).pipe(Effect.provide(layerUnmigrated(connection(name))))
      assert.strictEqual(Number(row!.owners), 300)
      assert.isBelow(Number(row!.transactions), 30)
    }).pipe(Effect.scoped, Effect.provide(layerAdmin)))
})
