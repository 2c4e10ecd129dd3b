/**
 * No stored shape changes unnoticed: today's are compared with the lock file.
 *
 * It does not see a meaning that changes while the shape stays; the golden logs may.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Vocabulary from "../../src/events/Vocabulary.ts"
import { ParcelLostV1, parcels } from "../support/parcels.ts"
import { compare } from "./compare.ts"
import * as Shapes from "./describe.ts"
import { readLock } from "./lock.ts"

const locked = Shapes.lockOf(parcels.shapes)

/** The shapes with another one in the place of the last version of ParcelLost. */
const withLost = (schema: Schema.Constraint, version = 2): Shapes.Lock => ({
  ...locked,
  ParcelLost: { ...locked["ParcelLost"], [version]: Shapes.describe(schema) }
})

const lost = { parcel: Schema.NonEmptyString, reason: Schema.String.check(Schema.isMaxLength(20)) }
const lostAs = (fields: Schema.Struct.Fields) => Schema.TaggedStruct("ParcelLost", fields)

const sentences = (today: Shapes.Lock, before = locked) => compare(before, today).map(({ sentence }) => sentence)

const bump = "Put it back, and declare version 3 with an upcaster from 2 beside the schema (src/events/Evolution.ts)."
const accept = "Run `npm run shapes` to accept it."

describe("The stored shapes", () => {
  it("are those of the lock file", () => {
    assert.deepStrictEqual(sentences(Shapes.lockOf(Vocabulary.shapes), readLock()), [])
  })

  it("are described with every check", () => {
    assert.deepStrictEqual(locked["ParcelSent"], {
      1: { _tag: "\"ParcelSent\"", parcel: "string isMinLength{\"minLength\":1}", weight: "\"light\" | \"heavy\"" },
      2: {
        _tag: "\"ParcelSent\"",
        parcel: "string isMinLength{\"minLength\":1}",
        grams: "number isInt isGreaterThanOrEqualTo{\"minimum\":0}"
      },
      3: {
        _tag: "\"ParcelSent\"",
        parcels: "[string isMinLength{\"minLength\":1}, ...string isMinLength{\"minLength\":1}]",
        grams: "number isInt isGreaterThanOrEqualTo{\"minimum\":0}"
      }
    })
    assert.deepStrictEqual(
      Shapes.describe(Schema.Struct({
        at: Schema.DateTimeUtcFromMillis,
        place: Schema.optionalKey(Schema.Struct({ street: Schema.NullOr(Schema.String) })),
        counts: Schema.Record(Schema.String, Schema.Array(Schema.Struct({ n: Schema.Natural })))
      })),
      {
        at: "number isInt",
        "place?": { street: "string | null" },
        counts: {
          "[string]": "[...{\"n\":\"number isInt isGreaterThanOrEqualTo{\\\"minimum\\\":0}\"}]"
        }
      }
    )
  })

  it("cannot be described if they have a check that cannot be told from others", () => {
    assert.throws(
      () => Shapes.describe(Schema.String.check(Schema.makeFilter((text) => text.length > 3))),
      "A check without a name cannot be told from another: give it one"
    )
  })

  it("take new types, versions and optional fields as soon as these are accepted", () => {
    const found = { 1: Shapes.describe(Schema.TaggedStruct("ParcelReturned", {})) }
    assert.deepStrictEqual(sentences({ ...locked, ParcelReturned: found }), [`ParcelReturned is new. ${accept}`])
    assert.deepStrictEqual(sentences(withLost(lostAs(lost), 3)), [`ParcelLost 3 is new. ${accept}`])
    assert.deepStrictEqual(sentences(withLost(lostAs({ ...lost, street: Schema.optionalKey(Schema.String) }))), [
      `ParcelLost 2 has a new street?. ${accept}`
    ])
    assert.isTrue(compare(locked, withLost(lostAs(lost), 3)).every(({ isHarmless }) => isHarmless))
  })

  it.each([
    ["a new field that events have to have", { ...lost, street: Schema.String }, "ParcelLost 2 has a new street."],
    ["a field less", { parcel: lost.parcel }, "ParcelLost 2 has no reason any more."],
    [
      "a field that is something else",
      { ...lost, reason: Schema.Boolean },
      "ParcelLost 2: reason was string isMaxLength{\"maxLength\":20} and is boolean."
    ],
    [
      "a narrower field",
      { ...lost, reason: Schema.String.check(Schema.isMaxLength(10)) },
      "ParcelLost 2: reason was string isMaxLength{\"maxLength\":20} and is string isMaxLength{\"maxLength\":10}."
    ]
  ])("do not take %s without a new version", (_, fields, sentence) => {
    const differences = compare(locked, withLost(lostAs(fields)))
    assert.deepStrictEqual(differences, [{ isHarmless: false, sentence: `${sentence} ${bump}` }])
  })

  it("do not take a field that becomes optional, which older code would not understand", () => {
    assert.deepStrictEqual(sentences(withLost(lostAs({ ...lost, reason: Schema.optionalKey(lost.reason) }))), [
      `ParcelLost 2 has no reason any more. ${bump}`,
      `ParcelLost 2 has a new reason?. ${accept}`
    ])
  })

  it("do not change any more where there is a newer version", () => {
    const advice = "Put it back: what is stored with an older version does not change any more."
    const { _tag, ...fields } = ParcelLostV1.fields
    const more = { ...fields, street: Schema.optionalKey(Schema.String) }
    assert.deepStrictEqual(sentences(withLost(lostAs(more), 1)), [`ParcelLost 1 has a new street?. ${advice}`])
  })

  it("do not go away", () => {
    const { ParcelLost, ...others } = locked
    assert.deepStrictEqual(sentences(others), ["ParcelLost is gone, but logs have it. Put it back."])
    assert.deepStrictEqual(sentences({ ...others, ParcelLost: { 1: ParcelLost![1]! } }), [
      "ParcelLost 2 is gone, but logs have it. Put it back, with its upcaster."
    ])
  })
})
