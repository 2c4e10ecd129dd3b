import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (name: string) => fileURLToPath(new URL(`../../src/simulation/${name}`, import.meta.url))

export default defineConfig({
  // In this repository the package is not installed. Where it is, none of this is needed.
  resolve: {
    alias: [
      { find: "makima-runtime/simulation/vitest", replacement: source("Vitest.ts") },
      { find: "makima-runtime/simulation", replacement: source("index.ts") }
    ]
  }
})
