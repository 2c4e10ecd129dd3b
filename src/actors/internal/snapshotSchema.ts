/** How a snapshot names the code that it is of use to: by the fields of the state and the stored shapes that it is folded from. */
import { Schema, SchemaRepresentation } from "effect"
import { hash } from "node:crypto"
import * as Vocabulary from "../../events/Vocabulary.ts"

/** `version` is raised when `evolve` makes something else of the same events; `state` says what a state has. */
export const schemaOf = (
  version: number,
  state: unknown,
  events: { readonly cases: Readonly<Record<string, unknown>> }
): string => {
  const stored = Vocabulary.shapes.filter(({ type }) => type in events.cases).map((
    { schema, type, version }
  ) => [type, version, SchemaRepresentation.toRepresentation(Schema.toCodecJson(schema).ast)])
  return hash("sha256", JSON.stringify([version, state, stored]))
}
