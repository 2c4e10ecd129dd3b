/** Vitest's global set-up. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { spawn } from "node:child_process"
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

/** Waits for the end of this process. Its server goes first. */
const removal = `read -r line; while [ -e "$1/postgres/postmaster.pid" ]; do sleep 0.1; done; rm -rf "$1"`

/** One bundled PostgreSQL for the whole run, in a directory that goes away with it, also when it is killed. */
export default async function setup(project: Pick<TestProject, "provide">) {
  const directory = mkdtempSync(join(tmpdir(), "makima-tests-"))
  // Where the tests run as root, PostgreSQL runs as somebody else.
  chmodSync(directory, 0o755)
  const remover = spawn("/bin/sh", ["-c", removal, "makima-tests", directory], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  remover.unref()
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
    remover.stdin.end()
  }
}

const prepare = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`CREATE SEQUENCE test_databases`
  yield* sql`CREATE DATABASE template_makima`
})
