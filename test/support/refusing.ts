/** A database that refuses rows, by a trigger. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

/** Has the database refuse rows of a table for which a condition holds, with a code and that text, during an effect. */
export const refusing = <A, E, R>(
  { code, condition, table = "events", text = "not here" }: {
    readonly table?: string
    readonly condition: string
    readonly code: string
    readonly text?: string
  },
  during: Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* sql.unsafe(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION USING MESSAGE = '${text}', ERRCODE = '${code}'; END $$`)
    yield* sql.unsafe(
      `CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION fail()`
    )
    return yield* Effect.ensuring(during, Effect.orDie(sql.unsafe("DROP FUNCTION fail CASCADE")))
  })
