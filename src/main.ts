#!/usr/bin/env node
/** The `makima` command: gives the command line to `cli/CommandLine.ts`, and its end to the operating system. */
import * as module from "node:module"
import process from "node:process"
import { fileURLToPath } from "node:url"

// Whoever installs the package runs it with a Node of their own, and an older one would fail at some import.
const [major = 0, minor = 0] = process.version.slice(1).split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(`makima: it needs Node 22.19 or later, and this is ${process.version}`)
  process.exit(2)
}

// Agents start this often, and compiling was a third of its start. Where the folder cannot be written, nothing is kept.
module.enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/makima-runtime", import.meta.url)))
const { NodeRuntime } = await import("@effect/platform-node")
const CommandLine = await import("./cli/CommandLine.ts")

// Whoever reads the output has gone: that ends a command as Ctrl-C does. Nobody needs to see progress, though.
process.stdout.on("error", () => process.emit("SIGTERM"))
process.stderr.on("error", () => {})

NodeRuntime.runMain(CommandLine.run(process.argv.slice(2)), {
  disableErrorReporting: true,
  teardown: CommandLine.exitStatusOf
})
