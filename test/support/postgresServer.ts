/** Vitest's global set-up: one bundled PostgreSQL for the whole run, in a directory that goes away with it. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { BundledPostgres } from "../../src/postgres/BundledPostgres.ts"
import * as Database from "../../src/postgres/Database.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly postgres: BundledPostgres["Service"]
  }
}

export default async function setup(project: TestProject) {
  const directory = mkdtempSync(join(tmpdir(), "makima-tests-"))
  // Where the tests run as root, PostgreSQL runs as somebody else.
  chmodSync(directory, 0o755)
  const runtime = ManagedRuntime.make(BundledPostgres.layer(directory))
  const settings = await runtime.runPromise(Effect.gen(function*() {
    const settings = yield* BundledPostgres
    yield* prepare.pipe(Effect.provide(Database.layerUnmigrated(settings)))
    // Migrated once here, and copied for each suite.
    yield* Effect.scoped(Layer.build(Database.layerClient({ ...settings, database: "template_makima" })))
    return settings
  }))
  project.provide("postgres", settings)
  return async () => {
    await runtime.dispose()
    rmSync(directory, { recursive: true, force: true })
  }
}

const prepare = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`CREATE SEQUENCE test_databases`
  yield* sql`CREATE DATABASE template_makima`
})
