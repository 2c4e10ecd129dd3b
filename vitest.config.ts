import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

/** Tests that kill processes or wait for long have a run of their own: `npm run test:long`. */
const long = "test/**/*.long.test.ts"

export default defineConfig(({ mode }) => ({
  test: {
    // Many tests wait for processes and for PostgreSQL, so one more than there are cores keeps all of them busy.
    maxWorkers: availableParallelism() + 1,
    include: [mode === "long" ? long : "test/**/*.test.ts"],
    exclude: mode === "long" ? [] : [long],
    setupFiles: ["test/support/setup.ts"],
    globalSetup: ["test/support/postgresServer.ts"],
    // What a test that passed logged is of no interest.
    silent: "passed-only",
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
}))
