/**
 * How fast the event log is, as ratios against the same driver on the same server in the same run.
 *
 * Rounds of ours and of the raw driver alternate, and medians are compared, because machines are noisy and drift.
 * `npm run bench` prints a table; `--json <file>` also writes the figures. Nothing here fails for being slow.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { Console, Effect, Layer, Queue, Result, Stream } from "effect"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Directive from "../src/actors/Directive.ts"
import type { DirectiveEvent } from "../src/events/DirectiveEvent.ts"
import { EventLog, type StreamAppend } from "../src/events/EventLog.ts"
import * as PostgresEventLog from "../src/events/PostgresEventLog.ts"
import * as Database from "../src/postgres/Database.ts"
import { type Figure, figure, interleaved, median, table } from "./figures.ts"
import { history } from "./history.ts"

const rounds = 7
const event: DirectiveEvent = { _tag: "MemorySet", key: "k", value: "a value of some forty characters in a row" }
const data = JSON.stringify(event)

const createRaw = `
CREATE TABLE IF NOT EXISTS raw_events (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stream text COLLATE "C" NOT NULL, version integer NOT NULL, type text COLLATE "C" NOT NULL,
  at bigint NOT NULL, data text NOT NULL, UNIQUE (stream, version)
)`

const bench = Effect.gen(function*() {
  const sql = yield* PgClient.PgClient
  const log = yield* EventLog
  yield* sql.unsafe(createRaw)
  const figures: Array<Figure> = []
  let names = 0
  const fresh = () => `bench-${++names}`

  /** So many writers, each with a stream of its own, append one event after another; events a second. */
  const appends = (writers: number, each: number, ...conditions: ReadonlyArray<StreamAppend>) =>
    rate(
      writers * each,
      Effect.forEach(Array.from({ length: writers }), () =>
        Effect.gen(function*() {
          const stream = fresh()
          for (let i = 0; i < each; i++) {
            yield* log.append([{ stream, expected: i, events: [event] }, ...conditions], { at: i })
          }
        }), { concurrency: "unbounded", discard: true })
    )
  const rawAppends = (writers: number, each: number) =>
    rate(
      writers * each,
      Effect.forEach(Array.from({ length: writers }), () =>
        Effect.gen(function*() {
          const stream = fresh()
          for (let i = 0; i < each; i++) {
            yield* sql`INSERT INTO raw_events (stream, version, type, at, data)
              VALUES (${stream}, ${i + 1}::integer, ${event._tag}, ${i}::bigint, ${data})`
          }
        }), { concurrency: "unbounded", discard: true })
    )
  for (const [writers, each] of [[1, 400], [16, 100], [256, 12]] as const) {
    figures.push(
      yield* interleaved(
        `appends a second, ${writers} writer${writers === 1 ? "" : "s"}`,
        "single-row commits",
        rounds,
        appends(writers, each),
        rawAppends(writers, each)
      )
    )
  }

  // As a server appends that shares the log with others, against one that has it to itself.
  const fence = { stream: fresh(), expected: "any", epoch: 0, events: [] } as const
  for (const [writers, each] of [[1, 400], [64, 40]] as const) {
    figures.push(
      yield* interleaved(
        `appends a second behind a fence, ${writers} writer${writers === 1 ? "" : "s"}`,
        "the same without one",
        rounds,
        appends(writers, each, fence),
        appends(writers, each)
      )
    )
  }

  const batch = Array.from({ length: 1_000 }, () => event)
  const numbers = Result.getOrThrow(PgTypes.array(batch.map((_, i) => i + 1), PgTypes.OID.int4))
  const texts = (values: ReadonlyArray<string>) => Result.getOrThrow(PgTypes.array(values, PgTypes.OID.text))
  figures.push(
    yield* interleaved(
      "events a second, 1,000 an append",
      "1,000-row unnest insert",
      rounds,
      rate(
        10_000,
        Effect.gen(function*() {
          const stream = fresh()
          for (let i = 0; i < 10; i++) {
            yield* log.append([{ stream, expected: i * 1_000, events: batch }], { at: i })
          }
        })
      ),
      rate(
        10_000,
        Effect.gen(function*() {
          for (let i = 0; i < 10; i++) {
            // What an append of the same events has to bring over, and no more.
            const streams = texts(batch.map(fresh))
            const data = texts(batch.map((one) => JSON.stringify(one)))
            yield* sql`INSERT INTO raw_events (stream, version, type, at, data)
              SELECT stream, number, ${event._tag}, ${i}::bigint, data
              FROM unnest(${streams}, ${numbers}, ${data}) AS rows (stream, number, data)`
          }
        })
      )
    )
  )

  figures.push(yield* lag(200))
  const events = history(1_000)
  const stored = events.map((one) => JSON.stringify(one))
  figures.push(
    figure(
      "events folded a second",
      "JSON.parse of the same",
      yield* times(rounds, rate(10 * events.length, Effect.sync(() => tenTimes(() => fold(events))))),
      yield* times(rounds, rate(10 * events.length, Effect.sync(() => tenTimes(() => parseAll(stored)))))
    )
  )
  figures.push(yield* recovery(events))
  return figures
})

/** From the acknowledgement of an append to its event at a subscriber, in events a second one after another. */
const lag = Effect.fnUntraced(function*(count: number) {
  const log = yield* EventLog
  const seen = yield* Queue.unbounded<number>()
  yield* Stream.runForEach(log.subscribe({ after: yield* log.head }), ({ position }) => Queue.offer(seen, position))
    .pipe(
      Effect.forkChild
    )
  const waits: Array<number> = []
  const alone: Array<number> = []
  for (let i = 0; i < count; i++) {
    const started = performance.now()
    yield* log.append([{ stream: "bench-lag", expected: i, events: [event] }], { at: i })
    const appended = performance.now()
    yield* Queue.take(seen)
    waits.push(1_000 / (performance.now() - started))
    alone.push(1_000 / (appended - started))
  }
  return figure("appends seen by a subscriber a second", "appends alone", waits, alone)
})

const recovery = Effect.fnUntraced(function*(events: ReadonlyArray<DirectiveEvent>) {
  const log = yield* EventLog
  const sql = yield* PgClient.PgClient
  const stream = Directive.streamOf("00000000-0000-4000-8000-000000000001")
  for (let i = 0; i < events.length; i += 1_000) {
    yield* log.append([{ stream, expected: i, events: events.slice(i, i + 1_000) }], { at: i })
  }
  return yield* interleaved(
    `events recovered a second, stream of ${events.length}`,
    "rows read",
    rounds,
    rate(
      events.length,
      Stream.runFold(
        log.read(stream),
        () => Directive.empty(stream),
        (state, recorded) => Directive.evolve(state, recorded.event as DirectiveEvent)
      )
    ),
    rate(events.length, sql`SELECT * FROM events WHERE stream = ${stream} ORDER BY version`)
  )
})

const fold = (events: ReadonlyArray<DirectiveEvent>) =>
  events.reduce(Directive.evolve, Directive.empty(Directive.streamOf("00000000-0000-4000-8000-000000000001")))

const parseAll = (stored: ReadonlyArray<string>) => {
  for (const one of stored) JSON.parse(one)
}

/** Long enough to be compiled as it will be in a process that has been up for a while. */
const tenTimes = (work: () => void) => {
  for (let i = 0; i < 10; i++) work()
}

/** How many of `count` things a second the effect does. */
const rate = <E, R>(count: number, effect: Effect.Effect<unknown, E, R>) =>
  Effect.suspend(() => {
    const started = performance.now()
    return Effect.map(effect, () => count / (performance.now() - started) * 1_000)
  })

const times = <E, R>(count: number, effect: Effect.Effect<number, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => effect)

const directory = await mkdtemp(join(tmpdir(), "makima-bench-"))
const layer = PostgresEventLog.layer.pipe(Layer.provideMerge(Database.layerBundled(directory)))
const target = process.argv.indexOf("--json")
await Effect.runPromise(
  bench.pipe(
    Effect.tap((figures) => Console.log(table(figures))),
    Effect.tap((figures) =>
      target < 0 ? Effect.void : Effect.promise(() =>
        writeFile(
          process.argv[target + 1] ?? "bench.json",
          `${
            JSON.stringify(figures.map((one) => ({ ...one, ratio: median(one.ours) / median(one.theirs) })), null, 2)
          }\n`
        )
      )
    ),
    Effect.provide(layer)
  )
).finally(() => rm(directory, { recursive: true, force: true }))
