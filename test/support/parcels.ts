/** Event types with a past, since no real one has changed yet: one of three versions, one of two, one of one. */
import { Schema } from "effect"
import * as Evolution from "../../src/events/Evolution.ts"

/** A parcel was light or heavy, before it was weighed. */
export const ParcelSentV1 = Schema.TaggedStruct("ParcelSent", {
  parcel: Schema.NonEmptyString,
  weight: Schema.Literals(["light", "heavy"])
})
export const ParcelSentV2 = Schema.TaggedStruct("ParcelSent", { parcel: Schema.NonEmptyString, grams: Schema.Natural })

export const ParcelLostV1 = Schema.TaggedStruct("ParcelLost", { parcel: Schema.NonEmptyString, because: Schema.String })

export const ParcelEvent = Schema.TaggedUnion({
  ParcelSent: { parcels: Schema.NonEmptyArray(Schema.NonEmptyString), grams: Schema.Natural },
  ParcelLost: { parcel: Schema.NonEmptyString, reason: Schema.String.check(Schema.isMaxLength(20)) },
  ParcelFound: { parcel: Schema.NonEmptyString }
})
export type ParcelEvent = typeof ParcelEvent.Type
const { ParcelLost, ParcelSent } = ParcelEvent.cases

export const sentV1ToV2 = ({ parcel, weight }: typeof ParcelSentV1.Type) =>
  ParcelSentV2.make({ parcel, grams: weight === "light" ? 500 : 10_000 })
export const sentV2ToV3 = ({ grams, parcel }: typeof ParcelSentV2.Type) => ParcelSent.make({ parcels: [parcel], grams })

/** Too long a reason makes what comes out wrong, and none at all makes it fail. */
export const lostV1ToV2 = ({ because, parcel }: typeof ParcelLostV1.Type): typeof ParcelLost.Type => {
  if (because === "") throw new Error("there is no reason")
  return { _tag: "ParcelLost", parcel, reason: because }
}

export const parcelEventChanged: Evolution.Changed<typeof ParcelEvent.cases> = {
  ParcelSent: Evolution.first(ParcelSentV1).to(2, ParcelSentV2, sentV1ToV2).to(3, ParcelSent, sentV2ToV3),
  ParcelLost: Evolution.first(ParcelLostV1).to(2, ParcelLost, lostV1ToV2)
}

export const parcels = Evolution.make(ParcelEvent.cases, parcelEventChanged)
