/** Which field does not fit its schema, and why, as people would say it. */
import { SchemaIssue } from "effect"

export interface Finding {
  readonly path: ReadonlyArray<PropertyKey>
  readonly message: string
}

const unknownField = "is not a field that is known here"

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    switch (issue._tag) {
      case "MissingKey":
        return "is missing"
      case "UnexpectedKey":
        return unknownField
      default:
        return SchemaIssue.defaultLeafHook(issue)
    }
  }
})

/**
 * The finding that helps most. Where a body may have several shapes there is one for each: what was found deepest
 * belongs to the shape that was meant, and a known field that is wrong says more than one that is not known.
 */
export const findingOf = (issue: SchemaIssue.Issue): Finding => {
  const findings = format(issue).issues.map(({ message, path }): Finding => ({
    path: (path ?? []).map((key) => typeof key === "object" ? key.key : key),
    message
  }))
  const weight = ({ message, path }: Finding) => 2 * path.length + (message === unknownField ? 0 : 1)
  return findings.reduce((best, finding) => weight(finding) >= weight(best) ? finding : best)
}

export const fieldName = (path: ReadonlyArray<PropertyKey>): string =>
  path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("").replace(/^\./, "")
