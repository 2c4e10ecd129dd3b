/** Databases on the test run's server for commands and processes, which learn of theirs from the environment. */
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { afterAll, beforeAll } from "vitest"
import { connection, freshDatabase, layerAdmin } from "./postgres.ts"

class DatabaseUrl extends Context.Service<DatabaseUrl, string>()("test/DatabaseUrl") {}

const layerUrl = Layer.effect(
  DatabaseUrl,
  Effect.map(freshDatabase, (name) => {
    const { host, port, username } = connection(name)
    return `postgres:///${name}?${new URLSearchParams({ host, port: String(port), user: username })}`
  })
).pipe(Layer.provide(layerAdmin))

const runtimes: Array<ManagedRuntime.ManagedRuntime<DatabaseUrl, SqlError>> = []
afterAll(() => Promise.all(runtimes.map((runtime) => runtime.dispose())))

/** A database that lasts as long as the test file. Gives the environment that has makima use it. */
export const makeDatabase = async (): Promise<Record<string, string>> => {
  const runtime = ManagedRuntime.make(layerUrl)
  runtimes.push(runtime)
  return { MAKIMA_DATABASE_URL: await runtime.runPromise(DatabaseUrl) }
}

/** One for all tests of a file. */
export const useDatabase = (): () => Record<string, string> => {
  let env: Record<string, string> = {}
  beforeAll(async () => {
    env = await makeDatabase()
  })
  return () => env
}
