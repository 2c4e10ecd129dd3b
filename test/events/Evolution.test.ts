/** What was stored with an old version comes back in today's shape, for types with a past and for all real ones. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Evolution from "../../src/events/Evolution.ts"
import * as Vocabulary from "../../src/events/Vocabulary.ts"
import {
  lostV1ToV2,
  ParcelEvent,
  ParcelLostV1,
  parcels,
  ParcelSentV1,
  ParcelSentV2,
  sentV1ToV2,
  sentV2ToV3
} from "../support/parcels.ts"

const { ParcelFound, ParcelLost, ParcelSent } = ParcelEvent.cases

const reasonOf = (type: string, version: number, data: unknown) =>
  Result.getOrThrow(Result.flip(parcels.read(type, version, data)))

describe("Evolution", () => {
  it("lifts what was stored with any version to today's shape", () => {
    const today = ParcelSent.make({ parcels: ["p"], grams: 500 })
    assert.deepStrictEqual(
      [
        parcels.read("ParcelSent", 1, { _tag: "ParcelSent", parcel: "p", weight: "light" }),
        parcels.read("ParcelSent", 2, { _tag: "ParcelSent", parcel: "p", grams: 500 }),
        parcels.read("ParcelSent", 3, { _tag: "ParcelSent", parcels: ["p"], grams: 500 })
      ],
      [Result.succeed(today), Result.succeed(today), Result.succeed(today)]
    )
  })

  it("stores events with the last version of their type, which is 1 for those that never changed", () => {
    assert.strictEqual(parcels.versionOf(ParcelSent.make({ parcels: ["p"], grams: 1 })), 3)
    assert.strictEqual(parcels.versionOf(ParcelLost.make({ parcel: "p", reason: "rain" })), 2)
    assert.strictEqual(parcels.versionOf(ParcelFound.make({ parcel: "p" })), 1)
  })

  it("knows all versions of all types", () => {
    assert.deepStrictEqual(parcels.shapes.map(({ type, version }) => `${type} ${version}`), [
      "ParcelSent 1",
      "ParcelSent 2",
      "ParcelSent 3",
      "ParcelLost 1",
      "ParcelLost 2",
      "ParcelFound 1"
    ])
  })

  it("reads a version with the schema of that version, and no other", () => {
    assert.strictEqual(
      reasonOf("ParcelSent", 1, { _tag: "ParcelSent", parcel: "p", grams: 500 }),
      "Missing key at [\"weight\"]"
    )
    assert.strictEqual(
      reasonOf("ParcelSent", 3, { _tag: "ParcelSent", parcel: "p", grams: 500 }),
      "Missing key at [\"parcels\"]"
    )
  })

  it("says that a newer version wrote what it does not know", () => {
    assert.strictEqual(
      reasonOf("ParcelLost", 3, {}),
      "this log was written by a newer version, which has version 3 of it; this one knows 2"
    )
    assert.strictEqual(
      reasonOf("ParcelReturned", 1, {}),
      "no event type of that name is known; a newer version may have written it"
    )
    for (const name of ["constructor", "__proto__", ""]) assert.include(reasonOf(name, 1, {}), "no event type")
    for (const version of [0, -1, 1.5, Number.NaN]) {
      assert.include(reasonOf("ParcelLost", version, {}), "it has no version")
    }
  })

  it("does not take for an event what an upcaster makes wrong of it", () => {
    const lost = (because: string) => ({ _tag: "ParcelLost", parcel: "p", because })
    assert.strictEqual(reasonOf("ParcelLost", 1, lost("")), "it cannot be lifted from version 1: there is no reason")
    assert.include(reasonOf("ParcelLost", 1, lost("x".repeat(21))), "lifted from version 1 it is not right: ")
  })

  it("refuses a last version that is not the one of the union", () => {
    const similar = Schema.TaggedStruct("ParcelLost", ParcelLost.fields)
    assert.throws(
      () => Evolution.make(ParcelEvent.cases, { ParcelLost: Evolution.first(ParcelLostV1).to(2, similar, lostV1ToV2) }),
      "The last version of ParcelLost is not the one that its union has"
    )
  })

  it("does not compile with a gap, a wrong shape or a type that there is not", () => {
    const first = Evolution.first(ParcelSentV1)
    assert.isFunction(() => {
      // @ts-expect-error: version 2 comes after version 1
      first.to(3, ParcelSent, () => ParcelSent.make({ parcels: ["p"], grams: 1 }))
      // @ts-expect-error: version 1 has become version 2 already
      first.to(2, ParcelSentV2, sentV1ToV2).to(2, ParcelSent, sentV2ToV3)
      // @ts-expect-error: what was stored with version 1 has no grams
      first.to(2, ParcelSent, sentV2ToV3)
      // @ts-expect-error: version 2 has grams
      first.to(2, ParcelSentV2, ({ parcel }) => ({ _tag: "ParcelSent" as const, parcel }))
      // @ts-expect-error: the last version is not today's
      Evolution.make(ParcelEvent.cases, { ParcelSent: first.to(2, ParcelSentV2, sentV1ToV2) })
      // @ts-expect-error: it is the past of another type
      Evolution.make(ParcelEvent.cases, { ParcelFound: Evolution.first(ParcelLostV1).to(2, ParcelLost, lostV1ToV2) })
      // @ts-expect-error: there is no such type
      Evolution.make(ParcelEvent.cases, { ParcelReturned: Evolution.first(ParcelLostV1) })
    })
  })

  it.prop(
    "is the same whether an old event is lifted at once or was stored again on the way",
    [ParcelSentV1],
    ([old]) => {
      const stored = Schema.encodeSync(ParcelSentV1)(old)
      const again = Schema.encodeSync(ParcelSentV2)(sentV1ToV2(old))
      const whole = parcels.read("ParcelSent", 1, stored)
      assert.deepStrictEqual(whole, parcels.read("ParcelSent", 2, again))
      assert.deepStrictEqual<unknown>(whole, Result.succeed(sentV2ToV3(sentV1ToV2(old))))
    }
  )
})

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

for (
  const [name, { read, shapes }] of [["A stored parcel event", parcels], ["A stored event", Vocabulary]] as const
) {
  describe(name, () => {
    for (const { schema, type, version } of shapes) {
      it.prop(`of type ${type} and version ${version} comes back as it was`, [schema], ([event]) => {
        const stored = throughJson(Schema.encodeSync(schema)(event))
        // An answer is any JSON, and JSON has no -0.
        const expected = type === "CommandAnswered" ? throughJson(event) : event
        assert.deepStrictEqual(Schema.decodeUnknownSync(schema)(stored), expected)
        const today = shapes.filter((shape) => shape.type === type).length
        if (version === today) assert.deepStrictEqual<unknown>(read(type, version, stored), Result.succeed(expected))
      }, { arbitrary: { runs: 30 } })
    }
  })
}
