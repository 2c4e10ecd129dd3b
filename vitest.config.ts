import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    // Many tests wait for processes and for PostgreSQL, so one more than there are cores keeps all of them busy.
    maxWorkers: availableParallelism() + 1,
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/setup.ts"],
    globalSetup: ["test/support/postgresServer.ts"],
    // What a test that passed logged is of no interest.
    silent: "passed-only",
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
