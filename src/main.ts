#!/usr/bin/env node
/** The `makima` command: gives the command line to `cli/CommandLine.ts`, and its end to the operating system. */
import { enableCompileCache } from "node:module"
import process from "node:process"
import { fileURLToPath } from "node:url"

// Agents start this often, and compiling was a third of its start. Where the folder cannot be written, nothing is kept.
enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/makima-runtime", import.meta.url)))
const { NodeRuntime } = await import("@effect/platform-node")
const CommandLine = await import("./cli/CommandLine.ts")

// Whoever reads the output has gone: that ends a command as Ctrl-C does. Nobody needs to see progress, though.
process.stdout.on("error", () => process.emit("SIGTERM"))
process.stderr.on("error", () => {})

NodeRuntime.runMain(CommandLine.run(process.argv.slice(2)), {
  disableErrorReporting: true,
  teardown: CommandLine.exitStatusOf
})
