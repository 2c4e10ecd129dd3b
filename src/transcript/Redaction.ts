/** Events without anybody's words: texts are replaced by their digests and lengths, which the hash chain allows. */
import type { Schema, SchemaAST } from "effect"
import * as Chain from "../events/Chain.ts"
import { Digest } from "../events/DirectiveEvent.ts"
import * as Vocabulary from "../events/Vocabulary.ts"
import type { Entry } from "./Transcript.ts"

/**
 * Ids, numbers, digests and whatever can only be one of a few words stay as they are, so that the history can still be followed.
 * Of a type that is not known everything else goes. Names of streams and what caused an event are not redacted: their
 * hashes cover them word by word.
 */
export const redact = (event: Entry["event"], schemaVersion: number): Entry["event"] => {
  const { _tag, ...fields } = event
  const kept = plainFields.get(`${_tag}@${schemaVersion}`)
  return {
    _tag,
    ...Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, kept?.has(name) ? value : withoutTexts(value)])
    )
  }
}

const withoutTexts = (value: Schema.Json): Schema.Json => {
  if (typeof value === "string") return Chain.isText(value) ? { ...Chain.redacted(value) } : value
  if (value === null || typeof value !== "object" || Chain.isRedacted(value)) return value
  if (Array.isArray(value)) return value.map(withoutTexts)
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutTexts(inner)]))
}

/** Whether there is a redacted text in it. */
export const isRedacted = (value: Schema.Json): boolean => {
  if (value === null || typeof value !== "object") return false
  return Chain.isRedacted(value) || Object.values(value).some(isRedacted)
}

/** Whether a value of this shape is one of a few words, or what something was hashed to. */
const isOneOfFew = (ast: SchemaAST.AST): boolean =>
  ast === Digest.ast || ast._tag === "Literal" || (ast._tag === "Union" && ast.types.every(isOneOfFew))

const plainFieldsOf = (ast: SchemaAST.AST): ReadonlySet<string> =>
  new Set(
    ast._tag === "Objects"
      ? ast.propertySignatures.filter(({ type }) => isOneOfFew(type)).map(({ name }) => String(name))
      : []
  )

const plainFields = new Map(
  Vocabulary.shapes.map(({ schema, type, version }) => [`${type}@${version}`, plainFieldsOf(schema.ast)])
)
