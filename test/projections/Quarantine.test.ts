import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Queue } from "effect"
import { Projections } from "../../src/projections/Projections.ts"
import { created, started, stream } from "../support/directive.ts"
import { fixed, inTurns } from "./histories.ts"
import { another, catchUp, database, readAs, served, write, writeEvents } from "./processes.ts"
import { logged, snapshot } from "./tables.ts"

/** The log of a process that does not know the type `DirectiveStarted`. */
const ignorant = readAs((recorded) => {
  const { event, ...place } = recorded
  if (event._tag !== "DirectiveStarted" || recorded.stream !== stream) return recorded
  return {
    ...place,
    event: { _tag: "Unreadable", type: event._tag, data: JSON.stringify(event), reason: "of no known type" }
  }
})

const problem = `The DirectiveStarted (version 1) at position 2, ${stream}@2, cannot be read: of no known type`
const others = inTurns(fixed("first", "ada", 1), fixed("second", "bob", 2))

const directive = Effect.map(
  snapshot,
  ({ directives }) =>
    (directives as ReadonlyArray<{ readonly id: string; readonly status: string }>)
      .find(({ id }) => stream.endsWith(id))!.status
)

describe("A stream with an event that cannot be read", () => {
  it.live("is shown as it was before, is named, and holds up no other", () =>
    Effect.gen(function*() {
      const { layer, texts } = yield* logged
      const process = yield* another(1, yield* ignorant).pipe(Effect.provide(layer))
      yield* writeEvents([created, started])
      yield* writeEvents([{ _tag: "DirectiveIdled" }])
      yield* write(others)
      yield* Effect.provideContext(catchUp, process)
      const { head, position, quarantined, stopped } = yield* Context.get(process, Projections).progress
      assert.strictEqual(position, head)
      assert.isUndefined(stopped)
      assert.deepStrictEqual(quarantined.map(({ message }) => message), [problem])
      assert.strictEqual(yield* Queue.take(texts), `The read models show ${stream} as of version 1 only. ${problem}`)
      assert.strictEqual(yield* directive, "draft")
      assert.lengthOf((yield* snapshot)["directives"]!, 3)
      // A rebuild by the same code finds the same.
      assert.deepStrictEqual((yield* Context.get(process, Projections).rebuild()).differences, [])
      assert.strictEqual(yield* directive, "draft")
    }).pipe(Effect.scoped, Effect.provide(database)))

  it.live("is left out by whoever goes on from there, and shown by code that can read it", () =>
    Effect.gen(function*() {
      yield* writeEvents([created, started])
      const log = yield* ignorant
      yield* Effect.scoped(another(1, log))
      yield* writeEvents([{ _tag: "DirectiveIdled" }])
      yield* Effect.scoped(another(1, log))
      assert.strictEqual(yield* directive, "draft")
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* directive, "idle")
        const { progress } = yield* Projections
        assert.deepStrictEqual((yield* progress).quarantined, [])
      }).pipe(Effect.provide(served()))
    }).pipe(Effect.provide(database)))
})
