/**
 * How stored shapes change. Each event type has versions 1 … n; what was stored with an old one is lifted to today's
 * shape, version by version, when it is read. Pure: what is stored stays as it is.
 */
import { Result, Schema, type Types } from "effect"

/** A schema that needs nothing but the value. */
type Shape<A> = Schema.Codec<A, unknown>

type Tuple<N extends number, T extends ReadonlyArray<unknown> = []> = T["length"] extends N ? T : Tuple<N, [...T, 0]>
type Next<N extends number> = [...Tuple<N>, 0]["length"] & number

/** All versions of a type, of which the last one is today's and gives an `A`. */
export interface Lineage<A> {
  readonly today: Shape<A>
  readonly versions: ReadonlyArray<Version>
  /** Types do not tell how long a text or how large a number may be, so what was lifted is looked at again. */
  readonly check: (lifted: unknown) => Result.Result<A, Schema.SchemaError>
}

interface Version {
  readonly schema: Shape<unknown>
  readonly decode: (data: unknown) => Result.Result<unknown, Schema.SchemaError>
  /** From the version before; of the first one it is never asked. */
  readonly upcast: (old: unknown) => unknown
}

/** A lineage of `N` versions, which can grow by one. */
export interface Versions<N extends number, A> extends Lineage<A> {
  /** The version after the last: its number, its schema, and what one of the version before is in it. */
  readonly to: <B>(version: Next<N>, schema: Shape<B>, upcast: (old: A) => Types.NoInfer<B>) => Versions<Next<N>, B>
}

/** The first version of a type: `first(ParcelV1).to(2, ParcelV2, fromV1).to(3, ParcelEvent.cases.Parcel, fromV2)`. */
export const first = <A>(schema: Shape<A>): Versions<1, A> => grown([], schema, (old) => old)

const grown = <N extends number, A>(
  before: ReadonlyArray<Version>,
  schema: Shape<A>,
  upcast: (old: unknown) => unknown
): Versions<N, A> => {
  const versions = [...before, { schema, decode: Schema.decodeUnknownResult(schema), upcast }]
  return {
    today: schema,
    versions,
    check: Schema.decodeUnknownResult(Schema.toType(schema)),
    // What comes out of one version is what its own schema or upcaster gave: the types have been checked by `to`.
    to: (_, next, upcastNext) => grown(versions, next, upcastNext as (old: unknown) => unknown)
  }
}

type Cases = Readonly<Record<string, Shape<{ readonly _tag: string }>>>

/** The types of a union that have more than one version. A type that is not there has never changed. */
export type Changed<C extends Cases> = { readonly [Type in keyof C]?: Lineage<C[Type]["Type"]> }

/** A stored shape: what one version of a type is stored as. */
export interface StoredShape {
  readonly type: string
  readonly version: number
  readonly schema: Shape<unknown>
}

export interface Evolution<Event extends { readonly _tag: string }> {
  /** The version with which an event is stored today. */
  readonly versionOf: (event: Event) => number
  /** An event as it was stored, in today's shape, or why it cannot be read. */
  readonly read: (type: string, version: number, data: unknown) => Result.Result<Event, string>
  /** Every version of every type. */
  readonly shapes: ReadonlyArray<StoredShape>
}

/** The evolution of the types of a union, from the cases that it has today and the versions of those that changed. */
export const make = <C extends Cases>(cases: C, changed: Changed<C>): Evolution<C[keyof C]["Type"]> => {
  const lineages = new Map(
    Object.entries(cases).map(([type, schema]) => [type, lineageOf(type, schema, changed[type])])
  )
  return {
    versionOf: ({ _tag }) => lineages.get(_tag)!.versions.length,
    read: (type, version, data) => {
      const lineage = lineages.get(type)
      if (lineage === undefined) {
        return Result.fail("no event type of that name is known; a newer version may have written it")
      }
      return read(lineage, version, data) as Result.Result<C[keyof C]["Type"], string>
    },
    shapes: [...lineages].flatMap(([type, { versions }]) =>
      versions.map(({ schema }, index) => ({ type, version: index + 1, schema }))
    )
  }
}

const lineageOf = (type: string, schema: Shape<unknown>, changed: Lineage<unknown> | undefined): Lineage<unknown> => {
  const lineage = changed ?? first(schema)
  if (lineage.today !== schema) throw new Error(`The last version of ${type} is not the one that its union has`)
  return lineage
}

const read = (lineage: Lineage<unknown>, version: number, data: unknown): Result.Result<unknown, string> => {
  const { versions } = lineage
  if (version > versions.length) {
    return Result.fail(
      `this log was written by a newer version, which has version ${version} of it; this one knows ${versions.length}`
    )
  }
  const stored = versions[version - 1]
  if (stored === undefined) return Result.fail(`it has no version ${version}`)
  const decoded = Result.mapError(stored.decode(data), reasonOf)
  return version === versions.length ? decoded : Result.flatMap(decoded, (old) => lifted(lineage, version, old))
}

const lifted = ({ check, versions }: Lineage<unknown>, version: number, old: unknown): Result.Result<unknown, string> =>
  Result.try({
    try: () => versions.slice(version).reduce((value, { upcast }) => upcast(value), old),
    catch: (cause) => `it cannot be lifted from version ${version}: ${cause instanceof Error ? cause.message : cause}`
  }).pipe(
    Result.flatMap((event) =>
      Result.mapError(check(event), (error) => `lifted from version ${version} it is not right: ${reasonOf(error)}`)
    )
  )

const reasonOf = ({ message }: Schema.SchemaError): string => message.replaceAll(/\s*\n\s*/g, " ")
