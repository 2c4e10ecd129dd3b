import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import * as PostgresSnapshots from "../../src/events/PostgresSnapshots.ts"
import { digestOf, isWhole, layerMemory, type Snapshot, Snapshots } from "../../src/events/Snapshots.ts"
import { layerDatabase } from "../support/postgres.ts"

const hostile = JSON.stringify({ text: "nul \0, half \ud83d, 日本語 🦊\u2028\n" })

const snapshot = (stream: string, version: number, state = hostile): Snapshot => ({
  stream,
  version,
  position: 2 ** 40 + version,
  schema: "schema",
  state,
  digest: digestOf(state),
  at: 1_767_225_600_000
})

const suite = (name: string, layer: Layer.Layer<never, unknown>) =>
  describe(`Snapshots ${name}`, () => {
    it.effect("are given back as they were", () =>
      Effect.gen(function*() {
        const snapshots = yield* Snapshots
        const large = snapshot("large", 7, "x".repeat(1024 * 1024))
        yield* snapshots.save(snapshot("one", 3))
        yield* snapshots.save(large)
        assert.deepStrictEqual(yield* snapshots.load("one"), Option.some(snapshot("one", 3)))
        assert.deepStrictEqual(yield* snapshots.load("large"), Option.some(large))
        assert.isTrue(isWhole(large))
        assert.isFalse(isWhole({ ...large, state: `${large.state} ` }))
        assert.deepStrictEqual(yield* snapshots.load("other"), Option.none())
      }).pipe(Effect.provide(layer)))

    it.effect("take the place of the one before, one a stream", () =>
      Effect.gen(function*() {
        const snapshots = yield* Snapshots
        yield* snapshots.save(snapshot("one", 3))
        yield* snapshots.save(snapshot("two", 1))
        yield* snapshots.save(snapshot("one", 5, "{}"))
        assert.deepStrictEqual(yield* snapshots.load("one"), Option.some(snapshot("one", 5, "{}")))
        // An import or a backup may have made the stream shorter, and the newest is what it has now.
        yield* snapshots.save(snapshot("one", 2))
        assert.deepStrictEqual(yield* snapshots.load("one"), Option.some(snapshot("one", 2)))
        assert.deepStrictEqual(yield* snapshots.load("two"), Option.some(snapshot("two", 1)))
      }).pipe(Effect.provide(layer)))

    it.effect("are thrown away, of one stream or of all", () =>
      Effect.gen(function*() {
        const snapshots = yield* Snapshots
        for (const stream of ["one", "two", "three"]) yield* snapshots.save(snapshot(stream, 1))
        const left = Effect.map(
          Effect.forEach(["one", "two", "three"], snapshots.load),
          (all) => all.filter(Option.isSome).length
        )
        yield* snapshots.drop("two")
        assert.strictEqual(yield* left, 2)
        yield* snapshots.drop()
        assert.strictEqual(yield* left, 0)
      }).pipe(Effect.provide(layer)))
  })

suite("in memory", layerMemory)
suite("in PostgreSQL", PostgresSnapshots.layer.pipe(Layer.provide(layerDatabase)))

describe("Snapshots", () => {
  it.effect("are none without an implementation", () =>
    Effect.gen(function*() {
      const snapshots = yield* Snapshots
      yield* snapshots.save(snapshot("one", 1))
      assert.deepStrictEqual(yield* snapshots.load("one"), Option.none())
      yield* snapshots.drop()
    }))

  it.effect("in PostgreSQL say so where they cannot be reached or are too large", () =>
    Effect.gen(function*() {
      const snapshots = yield* Snapshots
      const sql = yield* SqlClient
      const large = yield* Effect.flip(snapshots.save(snapshot("one", 1, "x".repeat(17 * 1024 * 1024))))
      assert.strictEqual(large.message, "The snapshots failed to save: one has 17825792 characters")
      yield* sql`DROP TABLE snapshots`
      const failures = [snapshots.save(snapshot("one", 1)), snapshots.load("one"), snapshots.drop()]
      for (const failure of failures) {
        const { message } = yield* Effect.flip(failure)
        assert.match(message, /^The snapshots failed to (save|load|drop): .*"snapshots" does not exist/)
      }
    }).pipe(Effect.provide(PostgresSnapshots.layer.pipe(Layer.provideMerge(layerDatabase)))))
})
