/** The statements that lay values over rows and that read rows, made from the columns in `Rows.ts`. */
import { String } from "effect"
import type { MergedRow } from "../Changes.ts"
import { type Table, tables } from "../Rows.ts"
import { prefixOf } from "./readModelSchema.ts"

export const tableNames = Object.keys(tables) as ReadonlyArray<Table>

const columnOf = String.camelToSnake

/**
 * Takes an array of rows as JSON. A value that is not given leaves the column as it is, and does not touch what
 * PostgreSQL keeps out of line. A row that is not there yet must be complete.
 */
const mergeStatement = (table: Table, name: string): string => {
  const columns = Object.keys(tables[table].fields).map(columnOf)
  const changed = columns.filter((column) => column !== "id")
    .map((column) => `${column} = CASE WHEN c.given ? '${column}' THEN c.${column} ELSE t.${column} END`)
  return `
MERGE INTO ${name} t
USING (
  SELECT given.value AS given, row.*
  FROM jsonb_array_elements($1::jsonb) AS given, jsonb_populate_record(NULL::${name}, given.value) AS row
) c ON t.id = c.id
WHEN MATCHED THEN UPDATE SET ${changed.join(", ")}
WHEN NOT MATCHED THEN INSERT (${columns.join(", ")}) VALUES (${columns.map((column) => `c.${column}`).join(", ")})`
}

/** What each table is called in a generation. */
export const namesOf = (generation: number): Record<Table, string> =>
  ofTables((table) => `${prefixOf(generation)}${table}`)

/** The statements for the tables of a generation. */
export const mergeStatementsOf = (generation: number): Record<Table, string> => {
  const names = namesOf(generation)
  return ofTables((table) => mergeStatement(table, names[table]))
}

/** The statements that take all rows of some directives, given as a JSON array of ids, from a generation's tables. */
export const removeStatementsOf = (generation: number): ReadonlyArray<string> => {
  const { directives, memories, steps, tasks } = namesOf(generation)
  const without = (table: string, column: string) =>
    `DELETE FROM ${table} WHERE ${column} IN (SELECT jsonb_array_elements_text($1::jsonb))`
  return [...[steps, tasks, memories].map((table) => without(table, "directive_id")), without(directives, "id")]
}

const ofTables = (value: (table: Table) => string) =>
  Object.fromEntries(tableNames.map((table) => [table, value(table)])) as Record<Table, string>

/** A parameter of a statement may not be too large: JSON in PostgreSQL ends at 256 MiB, and memory before that. */
const jsonCharsMax = 4_000_000

/** The rows as JSON arrays of a bounded size, with a row that is larger in one of its own. */
export function* jsonArrays(rows: ReadonlyArray<MergedRow>): Generator<string> {
  let items: Array<string> = []
  let chars = 0
  for (const row of rows) {
    const item = JSON.stringify(Object.fromEntries(Object.entries(row).map(([name, value]) => [columnOf(name), value])))
    if (items.length > 0 && chars + item.length > jsonCharsMax) {
      yield `[${items.join(",")}]`
      items = []
      chars = 0
    }
    items.push(item)
    chars += item.length
  }
  yield `[${items.join(",")}]`
}

/** An object with these fields, each from the column of its name or from the expression given for it. */
export const jsonObject = (fields: object, alias: string, expressions: Record<string, string> = {}): string =>
  `json_build_object(${
    Object.keys(fields).map((name) => `'${name}', ${expressions[name] ?? `${alias}.${columnOf(name)}`}`).join(", ")
  })`
