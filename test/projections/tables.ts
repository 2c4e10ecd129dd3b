/** What tests see of the tables of the read models, whichever generation is live. */
import { Effect, Logger, Queue } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { stored } from "../../src/projections/internal/generations.ts"
import { namesOf, tableNames } from "../../src/projections/internal/rows.ts"
import type { Table } from "../../src/projections/Rows.ts"

const names = Effect.gen(function*() {
  const live = yield* stored(yield* SqlClient, "live")
  return namesOf(live!.generation)
})

export const tableOf = (table: Table) => Effect.map(names, (all) => all[table])

/** Everything that the live tables hold. */
export const snapshot = Effect.gen(function*() {
  const sql = yield* SqlClient
  const all = yield* names
  const tables = yield* Effect.forEach(
    tableNames,
    (table) => sql.unsafe<{ readonly row: unknown }>(`SELECT to_jsonb(t) AS row FROM ${all[table]} t ORDER BY id`)
  )
  return Object.fromEntries(tableNames.map((table, index) => [table, tables[index]!.map(({ row }) => row)]))
})

/** The tables of all generations that the database has. */
export const allTables = Effect.gen(function*() {
  const sql = yield* SqlClient
  const rows = yield* sql<{ readonly name: string }>`
    SELECT relname::text AS name FROM pg_class WHERE relkind = 'r' AND relname LIKE 'read%' ORDER BY relname`
  return rows.map(({ name }) => name)
})

/** What is logged from warnings on, one text each. */
export const logged = Effect.gen(function*() {
  const texts = yield* Queue.unbounded<string>()
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    if (logLevel === "Warn" || logLevel === "Error") Queue.offerUnsafe(texts, String(message))
  })
  return { texts, layer: Logger.layer([logger]) }
})
