/** What a stored shape is, in words that are the same in every run: its encoded form, with every check that it has. */
import { Schema, SchemaRepresentation } from "effect"
import * as Chain from "../../src/events/Chain.ts"
import type { StoredShape } from "../../src/events/Evolution.ts"

/** A scalar in words, or the fields of an object. The name of an optional field ends with a question mark. */
export type Description = string | { readonly [field: string]: Description }

/** The descriptions of all types by name, and of each by version. */
export interface Lock {
  readonly [type: string]: { readonly [version: string]: Description }
}

export const lockOf = (shapes: ReadonlyArray<StoredShape>): Lock => {
  const types = [...new Set(shapes.map(({ type }) => type))].sort()
  return Object.fromEntries(types.map((name) => [
    name,
    Object.fromEntries(
      shapes.filter(({ type }) => type === name).map(({ schema, version }) => [version, describe(schema)])
    )
  ]))
}

export const describe = (schema: Schema.Constraint): Description => {
  const { references, representation } = SchemaRepresentation.toRepresentation(Schema.toCodecJson(schema).ast)
  return described(representation, references)
}

type References = SchemaRepresentation.References

const described = (shape: SchemaRepresentation.Representation, references: References): Description =>
  shape._tag === "Objects" && shape.checks.length === 0
    ? Object.fromEntries(
      shape.propertySignatures.map(({ isOptional, name, type }) => [
        `${String(name)}${isOptional ? "?" : ""}`,
        described(type, references)
      ])
        .concat(shape.indexSignatures.map(({ parameter, type }) => [
          `[${inWords(parameter, references)}]`,
          described(type, references)
        ]))
    )
    : inWords(shape, references)

const inWords = (shape: SchemaRepresentation.Representation, references: References): string => {
  switch (shape._tag) {
    case "Reference":
      return inWords(references[shape.$ref]!, references)
    case "Suspend":
      throw new Error("A shape that contains itself has no description yet")
    default:
      return [plain(shape, references), ...shape.checks.map(checkInWords)].join(" ")
  }
}

type Plain = Exclude<SchemaRepresentation.Representation, SchemaRepresentation.Reference | SchemaRepresentation.Suspend>

const plain = (shape: Plain, references: References): string => {
  const words = (inner: SchemaRepresentation.Representation) => inWords(inner, references)
  switch (shape._tag) {
    case "Literal":
      return JSON.stringify(shape.literal)
    case "Union":
      return shape.types.map(words).join(" | ")
    case "Arrays":
      return `[${
        [
          ...shape.elements.map(({ isOptional, type }) => `${words(type)}${isOptional ? "?" : ""}`),
          ...shape.rest.map((type) => `...${words(type)}`)
        ].join(", ")
      }]`
    case "Objects":
      return Chain.canonical({ ...(described({ ...shape, checks: [] }, references) as object) })
    case "Declaration":
      return [nameOf(shape.representation), ...shape.typeParameters.map(words)].join(" ")
    case "Null":
    case "String":
    case "Number":
    case "Boolean":
      return shape._tag.toLowerCase()
    default:
      throw new Error(`A ${shape._tag} is not JSON`)
  }
}

const checkInWords = (check: SchemaRepresentation.Check): string => {
  if (check._tag === "FilterGroup" && check.representation === undefined) {
    return check.checks.map(checkInWords).join(" ")
  }
  const { payload } = check.representation ?? {}
  const bounds = payload === undefined || payload === null ? "" : Chain.canonical(payload)
  return `${nameOf(check.representation)}${bounds}`
}

const nameOf = (representation: SchemaRepresentation.RepresentationAnnotation | undefined): string => {
  if (representation === undefined) throw new Error("A check without a name cannot be told from another: give it one")
  return representation.id.replace(/^effect\/schema\//, "")
}
