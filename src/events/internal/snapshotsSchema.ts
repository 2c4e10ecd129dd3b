/** The snapshots in PostgreSQL: one table, one row a stream. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const createTable = `
CREATE TABLE snapshots (
  stream text COLLATE "C" PRIMARY KEY,
  version integer NOT NULL,
  position bigint NOT NULL,
  at bigint NOT NULL,
  schema text NOT NULL,
  digest text NOT NULL,
  state text NOT NULL
)`

export const createSnapshots = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql.unsafe(createTable)
  // Recovery waits for reading a state, and nobody for the space that it takes.
  yield* sql.unsafe("ALTER TABLE snapshots ALTER COLUMN state SET STORAGE EXTERNAL")
})
