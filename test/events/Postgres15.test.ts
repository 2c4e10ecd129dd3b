import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import * as Database from "../../src/postgres/Database.ts"
import { isInstalled, postgres15 } from "../support/postgres15.ts"
import { suite } from "./EventLogContract.ts"

const layerDatabase = Layer.unwrap(
  Effect.map(postgres15, (url) => Database.layer({ url, dataDirectory: "" }))
)

describe.skipIf(!isInstalled())("PostgreSQL 15 by URL", () => {
  it.live("is what it says it is", () =>
    Effect.gen(function*() {
      const [row] = yield* PgClient.use((sql) => sql<{ readonly server_version: string }>`SHOW server_version`)
      assert.match(row!.server_version, /^15\./)
    }).pipe(Effect.provide(layerDatabase)))

  suite(
    "The event log in PostgreSQL 15",
    PostgresEventLog.layer.pipe(Layer.provide(layerDatabase)),
    ({ isHeavy }) => !isHeavy
  )
})
