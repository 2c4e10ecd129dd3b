/** Databases for tests: each suite has one of its own on the server that the whole run shares. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { inject } from "vitest"
import { type Database, layerUnmigrated } from "../../src/postgres/Database.ts"

/** The name of a fresh, migrated database, which is dropped when the scope closes. */
export const freshDatabase = Effect.acquireRelease(
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [row] = yield* sql<{ readonly number: bigint }>`SELECT nextval('test_databases') AS number`
    const name = `test_${row!.number}`
    yield* sql`CREATE DATABASE ${sql(name)} TEMPLATE template_makima`
    return name
  }),
  (name) => SqlClient.use((sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`).pipe(Effect.orDie)
)

/** How to connect to a database of the test server. */
export const connection = (database: string) => ({ ...inject("postgres"), database })

/** A client of the database in which `freshDatabase` makes others. */
export const layerAdmin: Layer.Layer<Database, SqlError> = Layer.suspend(() => layerUnmigrated(inject("postgres")))

/** A migrated database that nobody else uses. */
export const layerDatabase: Layer.Layer<Database, SqlError> = Layer.unwrap(
  Effect.map(freshDatabase, (name) => layerUnmigrated(connection(name)))
).pipe(Layer.provide(layerAdmin))
