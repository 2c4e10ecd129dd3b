/** How the live tables are asked, whichever they are at that moment. */
import { Effect, Record, Result } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { Table } from "../Rows.ts"
import { stateOf } from "./apply.ts"
import { stored } from "./generations.ts"
import { namesOf } from "./rows.ts"

/** The names of the live tables, to be put into statements. */
export type LiveTables = Record<Table, Fragment>

/** Asks the live tables. Whoever finds them gone looks which ones are live now, and asks those. */
export const makeAsk = (sql: SqlClient, version: number) => {
  let known: { readonly generation: number; readonly tables: LiveTables } | undefined

  const lookUp = Effect.gen(function*() {
    const live = yield* stored(sql, "live")
    if (live?.version !== version) return yield* Effect.fail(new Error(unreadable(live?.version, version)))
    return known = { generation: live.generation, tables: Record.map(namesOf(live.generation), sql.literal) }
  })

  return Effect.fnUntraced(function*(statement: (tables: LiveTables) => Fragment) {
    let asked = known ?? (yield* lookUp)
    while (true) {
      const found = yield* Effect.result(sql<{ readonly row: unknown }>`${statement(asked.tables)}`)
      if (Result.isSuccess(found)) return found.success
      const next = stateOf(found.failure) === undefinedTable ? yield* lookUp : asked
      if (next.generation === asked.generation) return yield* found.failure
      asked = next
    }
  })
}

const undefinedTable = "42P01"

const unreadable = (live: number | undefined, version: number): string =>
  live === undefined
    ? "the read models are still being made"
    : `the read models are of version ${live}, and this process reads version ${version}`
