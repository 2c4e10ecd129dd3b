/** An actor comes up with the state that its stream says, whatever has become of its snapshot. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Option, Queue, Stream } from "effect"
import { SnapshotEvents } from "../../../src/actors/internal/keeper.ts"
import { EventLog } from "../../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../../src/events/PostgresEventLog.ts"
import * as PostgresSnapshots from "../../../src/events/PostgresSnapshots.ts"
import { digestOf, layerMemory, type Snapshot, Snapshots } from "../../../src/events/Snapshots.ts"
import { textOf, write } from "../../support/notebook.ts"
import { layerDatabase } from "../../support/postgres.ts"
import { layerWatched, notesCodec, openNotebook, Watch } from "../../support/snapshots.ts"

const stream = "notebook"
const every = 10

const until = (isSo: () => boolean) =>
  Effect.gen(function*() {
    while (!isSo()) yield* Effect.yieldNow
  })

/** In a life of its own, the notebook writes so many texts, one at a time, and has a snapshot of a version at the end. */
const live = (texts: number, snapshotVersion = 0) =>
  Effect.gen(function*() {
    const { saved } = yield* Watch
    const actor = yield* openNotebook(stream)
    const before = (yield* actor.ask(write())).answer
    for (let text = before; text < before + texts; text += 1) yield* actor.ask(write(`${text}`))
    if (snapshotVersion > 0) { while ((yield* Queue.take(saved)) !== snapshotVersion) { /* an earlier one */ } }
    return actor.folded()
  }).pipe(Effect.scoped, Effect.provideService(SnapshotEvents, every))

const warnings: Array<string> = []
const layerWarnings = Layer.mergeAll(
  Layer.effectDiscard(Effect.sync(() => warnings.splice(0))),
  Logger.layer([
    Logger.make<unknown, void>(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(String(Array.isArray(message) ? message[0] : message))
    })
  ])
)

/** What the notebook knows now is what it wrote. */
const isWhole = Effect.gen(function*() {
  const log = yield* EventLog
  const texts = yield* Stream.runCollect(Stream.map(log.read(stream), textOf))
  assert.deepStrictEqual(texts, texts.map((_, index) => `${index}`))
  const actor = yield* openNotebook(stream)
  assert.strictEqual((yield* actor.ask(write())).answer, texts.length)
  return actor.folded()
}).pipe(Effect.scoped)

const damages: Record<string, [(snapshot: Snapshot) => Snapshot, warning: string | undefined]> = {
  "is damaged": [
    (one) => ({ ...one, state: one.state.replace("\"3\"", "\"4\"") }),
    "The snapshot of notebook at version 20 is of no use: it is damaged"
  ],
  "is cut off": [
    (one) => ({ ...one, state: one.state.slice(0, 7), digest: digestOf(one.state.slice(0, 7)) }),
    "The snapshot of notebook at version 20 is of no use: it cannot be read: SyntaxError:"
  ],
  "is of other code": [(one) => ({ ...one, schema: "other" }), undefined],
  "is of a version that the stream does not have": [
    (one) => ({ ...one, version: 99 }),
    "The snapshot of notebook at version 99 is of no use: notebook has no such event at position"
  ],
  "is of another history": [
    (one) => ({ ...one, position: one.position + 1 }),
    "The snapshot of notebook at version 20 is of no use: notebook has no such event at position"
  ]
}

const suite = (name: string, layer: Layer.Layer<EventLog, unknown>) => {
  const layers = Layer.mergeAll(layerWatched, layerWarnings).pipe(Layer.provideMerge(layer))
  describe(`Recovery with snapshots ${name}`, () => {
    it.effect("folds only what came after the snapshot", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* live(20, 20), 0)
        yield* live(5)
        assert.strictEqual(yield* isWhole, 5)
        assert.strictEqual(yield* live(5, 30), 5)
        yield* live(2)
        assert.strictEqual(yield* live(0), 2)
        assert.deepStrictEqual(warnings, [])
      }).pipe(Effect.provide(layers)))

    it.effect("loses nothing when snapshots are thrown away at any time", () =>
      Effect.gen(function*() {
        const snapshots = yield* Snapshots
        for (const texts of [0, 1, 9, 10, 11, 30, 5]) {
          yield* live(texts)
          yield* snapshots.drop()
          yield* isWhole
        }
        assert.deepStrictEqual(warnings, [])
      }).pipe(Effect.provide(layers)))

    it.effect.each(Object.keys(damages))("loses nothing when the snapshot %s", (what) =>
      Effect.gen(function*() {
        const [damage, warning] = damages[what]!
        const snapshots = yield* Snapshots
        yield* live(20, 20)
        yield* live(5)
        const taken = Option.getOrThrow(yield* snapshots.load(stream))
        assert.strictEqual(taken.version, 20)
        yield* snapshots.save(damage(taken))
        assert.strictEqual(yield* isWhole, 25)
        if (warning === undefined) assert.deepStrictEqual(warnings, [])
        else assert.include(warnings.join(), warning)
        // The next one takes its place.
        yield* live(10, 35)
        assert.strictEqual(yield* isWhole, 0)
      }).pipe(Effect.provide(layers)))

    it.effect("loses nothing while snapshots cannot be reached", () =>
      Effect.gen(function*() {
        const watch = yield* Watch
        yield* live(10, 10)
        watch.works = false
        yield* Effect.gen(function*() {
          yield* openNotebook(stream)
          yield* until(() => warnings.length === 2)
        }).pipe(Effect.scoped, Effect.provideService(SnapshotEvents, every))
        assert.deepStrictEqual(warnings, [
          "notebook is folded from its first event",
          "notebook has no snapshot of version 10"
        ])
        yield* live(7)
        watch.works = true
        assert.strictEqual(yield* isWhole, 7)
      }).pipe(Effect.provide(layers)))
  })
}

suite("in memory", Layer.merge(EventLog.layerMemory, layerMemory))
suite(
  "in PostgreSQL",
  Layer.merge(PostgresEventLog.layer, PostgresSnapshots.layer).pipe(Layer.provide(layerDatabase))
)

describe("Snapshots are taken", () => {
  const layers = layerWatched.pipe(Layer.provideMerge(Layer.merge(EventLog.layerMemory, layerMemory)))

  it.effect("beside the actor, one at a time, and the newest of those that wait", () =>
    Effect.gen(function*() {
      const watch = yield* Watch
      yield* watch.gate.close
      const actor = yield* openNotebook(stream)
      for (let text = 0; text < 10; text += 1) yield* actor.ask(write(`${text}`))
      yield* until(() => watch.begun.length > 0)
      for (let text = 10; text < 65; text += 1) yield* actor.ask(write(`${text}`))
      assert.deepStrictEqual(watch.begun, [10])
      yield* watch.gate.open
      assert.strictEqual(yield* Queue.take(watch.saved), 10)
      assert.strictEqual(yield* Queue.take(watch.saved), 60)
      assert.deepStrictEqual(watch.begun, [10, 60])
    }).pipe(Effect.scoped, Effect.provide(layers), Effect.provideService(SnapshotEvents, every)))

  it.effect("of states that cannot be written with a warning, and no more", () =>
    Effect.gen(function*() {
      const actor = yield* openNotebook(stream, {
        snapshots: {
          ...notesCodec,
          encode: () => {
            throw new Error("it is round")
          }
        }
      })
      for (let text = 0; text < 10; text += 1) yield* actor.ask(write(`${text}`))
      yield* until(() => warnings.length > 0)
      assert.strictEqual((yield* actor.ask(write("10"))).answer, 11)
      assert.include(warnings.join(), "notebook has no snapshot of version 10")
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.mergeAll(layers, layerWarnings)),
      Effect.provideService(SnapshotEvents, every)
    ))
})
