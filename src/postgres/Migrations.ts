/** The tables of this package and how they came to be: migrations run in order, each once. */
import { Effect } from "effect"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import { createLeases } from "../actors/internal/leasesSchema.ts"
import { createAnswersIndex, createEventLog } from "../events/internal/eventLogSchema.ts"
import { createSnapshots } from "../events/internal/snapshotsSchema.ts"
import { createProjections } from "../projections/internal/readModelSchema.ts"
import { createApiKeys } from "../server/internal/apiKeysSchema.ts"

/** Add lines, never edit one that was released: what ran somewhere does not run again. */
const migrations = {
  "0001_event_log": createEventLog,
  "0002_read_models": createProjections,
  "0003_api_keys": createApiKeys,
  "0005_snapshots": createSnapshots,
  "0006_answers": createAnswersIndex,
  "0007_leases": createLeases
}

const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: "makima_migrations" })

/** Any number that nobody else locks in this database; it reads "maki". */
const lockKey = 0x6d616b69

/** Brings the database up to date. Processes that migrate at the same time do so one after another. */
export const run = Effect.gen(function*() {
  const sql = yield* SqlClient
  // The lock belongs to the transaction, so a process that dies here leaves nothing locked.
  yield* sql.withTransaction(Effect.andThen(sql`SELECT pg_advisory_xact_lock(${lockKey}::bigint)`, migrate))
})
