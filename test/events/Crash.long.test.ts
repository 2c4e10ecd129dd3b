/**
 * Goal: no acknowledged event is lost and none is there twice, whatever becomes of the server.
 *
 * Method: writers append through two logs to a PostgreSQL of their own, which is killed or told to stop again and again
 * and comes back by itself. Who does not know whether an append is in does as actors do: claims the stream, reads where it
 * is, and goes on from there. Afterwards the log has exactly what the writers wanted, in the order of each, with all that
 * was acknowledged where it was said to be; subscribers have seen each event once and in order.
 *
 * Not here: a computer that loses power. What fsync does for that is PostgreSQL's to keep.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger, Queue, Schedule, Stream } from "effect"
import { EventLog, type RecordedEvent } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import type { LoggedEvent } from "../../src/events/Unreadable.ts"
import { BundledPostgres } from "../../src/postgres/BundledPostgres.ts"
import { layerClient, layerUnmigrated } from "../../src/postgres/Database.ts"
import { postmasterOf } from "../support/postmaster.ts"
import { temporaryFolder } from "../support/temporary.ts"
import { facts } from "./EventLogContract.ts"

const about = { at: 1_700_000_000_000 }
const writersPerLog = 4
const lives = 4
/** Acknowledged appends before the server goes, and after it is back. */
const appendsPerLife = 100

type Log = EventLog["Service"]

const again = Effect.retry(Schedule.spaced("5 millis"))

const valueOf = ({ event }: LoggedEvent) => event._tag === "MemorySet" ? event.value : event._tag

interface Tally {
  readonly acknowledged: Queue.Queue<RecordedEvent>
  /** Appends of which nobody said whether they were committed, by whether they were. */
  readonly unknown: { there: number; absent: number }
  isOver: boolean
}

/** Appends 0, 1, 2 … to its stream, each until it is in, and gives how many they were. */
const write = Effect.fnUntraced(function*(log: Log, stream: string, tally: Tally) {
  let [epoch] = yield* log.claim([stream], "writer")
  let version = 0
  while (!tally.isOver) {
    const appended = yield* Effect.result(
      log.append([{ stream, expected: version, epoch: epoch!, events: facts(`${version}`) }], about)
    )
    if (appended._tag === "Success") {
      yield* Queue.offerAll(tally.acknowledged, appended.success)
      version += 1
    } else {
      const error = appended.failure
      assert.strictEqual(error._tag, "EventLogError", error.message) // What was sent before can be committed until the stream is claimed, and not afterwards.
      ;[epoch] = yield* again(log.claim([stream], "writer"))
      const found = (yield* again(log.streamHead(stream))).version
      assert.include([version, version + 1], found, `${stream} has lost events`)
      if (error._tag === "EventLogError" && error.outcome === "nothing") assert.strictEqual(found, version)
      else tally.unknown[found === version ? "absent" : "there"] += 1
      version = found
    }
  }
  return version
})

/** Sees events until the last one. When that fails, it goes on where it was. */
const follow = Effect.fnUntraced(function*(log: Log) {
  const seen: Array<LoggedEvent> = []
  yield* again(Effect.suspend(() =>
    log.subscribe({ after: seen.at(-1)?.position ?? 0 }).pipe(
      Stream.takeUntil(({ stream }) => stream === "end"),
      Stream.runForEach((event) => Effect.sync(() => seen.push(event)))
    )
  ))
  return seen
})

const survives = Effect.fnUntraced(function*(signal: NodeJS.Signals) {
  const directory = yield* temporaryFolder
  const settings = Context.get(yield* Layer.build(BundledPostgres.layer(directory)), BundledPostgres)
  yield* Effect.scoped(Layer.build(layerClient(settings)))
  const open = Effect.map(
    Layer.build(Layer.fresh(PostgresEventLog.layer.pipe(Layer.provide(layerUnmigrated(settings))))),
    Context.get(EventLog)
  )
  const logs = [yield* open, yield* open]

  const tally: Tally = {
    acknowledged: yield* Queue.unbounded<RecordedEvent>(),
    unknown: { there: 0, absent: 0 },
    isOver: false
  }
  const followers = yield* Effect.forEach([...logs, ...logs], (log) => Effect.forkScoped(follow(log)))
  const writers = yield* Effect.forEach(
    logs.flatMap((log, l) => Array.from({ length: writersPerLog }, (_, w) => ({ log, stream: `writer-${l}-${w}` }))),
    ({ log, stream }) => Effect.map(Effect.forkScoped(write(log, stream, tally)), (fiber) => ({ stream, fiber }))
  )

  const acknowledged: Array<RecordedEvent> = []
  /** Takes what is acknowledged until there are so many, or until something is so. */
  const go = Effect.fnUntraced(function*(enough: (taken: number) => boolean) {
    for (let taken = 0; !enough(taken); taken++) acknowledged.push(yield* Queue.take(tally.acknowledged))
  })
  const end = Effect.gen(function*() {
    for (let life = 0; life < lives; life++) {
      yield* go((taken) => taken === appendsPerLife)
      const pid = postmasterOf(directory)!
      process.kill(pid, signal)
      yield* go(() => ![pid, undefined].includes(postmasterOf(directory)))
    }
    yield* go((taken) => taken === appendsPerLife)
    tally.isOver = true
  })
  const written = Effect.forEach(writers, ({ fiber }) => Fiber.join(fiber), { concurrency: "unbounded" })
  // A writer that finds something wrong is heard at once.
  const [lengths] = yield* Effect.all([written, end], { concurrency: "unbounded" })
  acknowledged.push(...yield* Queue.clear(tally.acknowledged))
  yield* again(logs[0]!.append([{ stream: "end", expected: 0, events: facts("end") }], about))

  const all = yield* Stream.runCollect(logs[0]!.readAll())
  for (const follower of followers) assert.deepStrictEqual(yield* Fiber.join(follower), all)
  assert.deepStrictEqual(all.map(({ position }) => position), all.map((_, i) => i + 1))
  for (const [w, { stream }] of writers.entries()) {
    const events = all.filter((event) => event.stream === stream)
    assert.deepStrictEqual(events.map(valueOf), Array.from({ length: lengths[w]! }, (_, i) => `${i}`))
  }
  for (const event of acknowledged) assert.deepStrictEqual(all[event.position - 1], event)
  assert.strictEqual(acknowledged.length + tally.unknown.there + 1, all.length)
})

const quiet = Effect.provide(Logger.layer([]))

describe("The event log, when its server", () => {
  it.live("is killed while many append, loses nothing and has nothing twice", () =>
    survives("SIGKILL").pipe(Effect.scoped, quiet))

  it.live("is restarted while many append, loses nothing and has nothing twice", () =>
    survives("SIGINT").pipe(Effect.scoped, quiet))
})
