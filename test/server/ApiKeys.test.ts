import { NodeCrypto } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Logger, Option, Redacted } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { OwnerId } from "../../src/events/Ids.ts"
import { ApiKeys } from "../../src/server/ApiKeys.ts"
import { layerDatabase } from "../support/postgres.ts"

const owner = OwnerId.make("alice")
const layerKeys = ApiKeys.layer.pipe(Layer.provide(NodeCrypto.layerSecureRandom))

layer(layerKeys.pipe(Layer.provideMerge(layerDatabase)))("API keys", (it) => {
  it.effect("are random, name their owner, and are found by nobody who guesses", () =>
    Effect.gen(function*() {
      const keys = yield* ApiKeys
      const one = yield* keys.create(owner, "one")
      const two = yield* keys.create(OwnerId.make("bob"), "two")
      assert.match(Redacted.value(one.key), /^mk_[\w-]{43}$/)
      assert.notStrictEqual(Redacted.value(one.key), Redacted.value(two.key))
      assert.deepStrictEqual(yield* keys.verify(one.key), Option.some(owner))
      assert.deepStrictEqual(yield* keys.verify(two.key), Option.some(OwnerId.make("bob")))
      for (const guess of ["", "mk_", Redacted.value(one.key).slice(0, -1), `${Redacted.value(one.key)}a`, "a\0b"]) {
        assert.deepStrictEqual(yield* keys.verify(Redacted.make(guess)), Option.none())
      }
    }))

  it.effect("are stored as a hash, and shown by nothing that is printed or logged", () =>
    Effect.gen(function*() {
      const keys = yield* ApiKeys
      const sql = yield* SqlClient
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => logged.push(inspect(message)))
      const made = yield* keys.create(owner, "secret").pipe(Effect.tap((made) => Effect.log("made", made)))
        .pipe(Effect.provide(Logger.layer([logger])))
      const secret = Redacted.value(made.key).slice(3)
      const stored = JSON.stringify(yield* sql`SELECT row_to_json(k)::text FROM api_keys k`)
      const listed = JSON.stringify(yield* keys.list())
      assert.isNotEmpty(logged)
      for (const text of [stored, listed, inspect(made), JSON.stringify(made), ...logged]) {
        assert.notInclude(text, secret)
      }
    }))

  it.effect("are refused once they are revoked, and stay in the list", () =>
    Effect.gen(function*() {
      const keys = yield* ApiKeys
      const carol = OwnerId.make("carol")
      const now = yield* Clock.currentTimeMillis
      const { id, key } = yield* keys.create(carol, "laptop")
      yield* keys.verify(key)
      assert.isTrue(yield* keys.revoke(id))
      assert.deepStrictEqual(yield* keys.verify(key), Option.none())
      assert.isTrue(yield* keys.revoke(id))
      assert.isFalse(yield* keys.revoke("no such id"))
      const [listed] = yield* keys.list(carol)
      assert.include(listed, { id, name: "laptop", ownerId: carol, createdAt: now, revokedAt: now })
    }))

  it.effect("are refused by other processes within five seconds", () =>
    Effect.gen(function*() {
      const keys = yield* ApiKeys
      const elsewhere = yield* Effect.provide(ApiKeys, Layer.fresh(layerKeys))
      const { id, key } = yield* keys.create(owner, "shared")
      assert.deepStrictEqual(yield* elsewhere.verify(key), Option.some(owner))
      yield* keys.revoke(id)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* elsewhere.verify(key), Option.none())
    }))
})
