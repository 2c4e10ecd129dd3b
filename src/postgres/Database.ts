/** The one database, up to date: the one that comes along, or the one that a URL names. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, type Redacted } from "effect"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { BundledPostgres } from "./BundledPostgres.ts"
import type { BundledPostgresError } from "./BundledPostgresError.ts"
import * as Migrations from "./Migrations.ts"

export type Database = PgClient.PgClient | SqlClient

/** With a URL that database, and otherwise the bundled PostgreSQL in the data directory. Migrated either way. */
export const layer = (options: {
  readonly url: Redacted.Redacted | undefined
  readonly dataDirectory: string
}): Layer.Layer<Database, SqlError | MigrationError | BundledPostgresError> =>
  options.url === undefined ? layerBundled(options.dataDirectory) : layerClient({ url: options.url })

/** The bundled PostgreSQL whose data is in `<dataDirectory>/postgres`. */
export const layerBundled = (
  dataDirectory: string
): Layer.Layer<Database, SqlError | MigrationError | BundledPostgresError> =>
  Layer.unwrap(Effect.map(BundledPostgres, layerClient)).pipe(Layer.provide(BundledPostgres.layer(dataDirectory)))

/** A pool of connections to a database that is brought up to date before anybody gets it. */
export const layerClient = (config: PgClient.PgPoolConfig): Layer.Layer<Database, SqlError | MigrationError> =>
  Layer.effectDiscard(Migrations.run).pipe(Layer.provideMerge(layerUnmigrated(config)))

/** The same for a database that somebody else brings up to date. */
export const layerUnmigrated = (config: PgClient.PgPoolConfig): Layer.Layer<Database, SqlError> =>
  PgClient.layer({
    maxConnections: 10,
    applicationName: "makima",
    maxMessageSize: messageBytesMax,
    // A machine that is gone says nothing: this is how that is noticed while an answer is awaited.
    keepAlive: "5 seconds",
    ...config
  })

/** Of one row as it comes: the largest event, with room for what PostgreSQL and the protocol add. */
const messageBytesMax = 64 * 1024 * 1024
