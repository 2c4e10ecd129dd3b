/** Real git, as the daemon runs it: an alias stands for a git that takes its time. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { join } from "node:path"
import { git } from "../../src/daemon/internal/git.ts"
import { eventually } from "../support/eventually.ts"
import { isRunning } from "../support/processes.ts"
import { makeRepository, temporaryDirectory, written } from "./localSupport.ts"

const project = join(import.meta.dirname, "../..")

/** Runs a shell script as a subcommand of git. */
const alias = (script: string) => ["-c", `alias.do=!${script}`, "do"]
const waiting = alias("echo $$ > pid; sleep 60")

const repository = Effect.flatMap(temporaryDirectory, (directory) => makeRepository(directory, "repository"))

const pidIn = (directory: string) => Effect.map(written(join(directory, "pid")), Number)

describe("git", () => {
  it.live("is where no Ctrl-C in the daemon's terminal reaches it", () =>
    Effect.gen(function*() {
      const groupOf = (pid: number) =>
        spawnSync("ps", ["-o", "pgid=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim()
      const its = (yield* git(yield* repository, alias("ps -o pgid= -p $$"))).trim()
      assert.match(its, /^\d+$/)
      assert.notStrictEqual(its, groupOf(process.pid))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("is ended with all its helpers when nobody wants it any more", () =>
    Effect.gen(function*() {
      const directory = yield* repository
      const fiber = yield* Effect.forkChild(git(directory, waiting))
      const pid = yield* pidIn(directory)
      yield* Fiber.interrupt(fiber)
      yield* eventually("the helper is gone", Effect.sync(() => !isRunning(pid)))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("does not outlive a daemon that is killed", () =>
    Effect.gen(function*() {
      const directory = yield* repository
      const script = `
        import { Effect } from "effect"
        import { git } from ${JSON.stringify(join(project, "src/daemon/internal/git.ts"))}
        Effect.runFork(git(${JSON.stringify(directory)}, ${JSON.stringify(waiting)}))
      `
      const parent = spawn(process.execPath, ["--input-type=module", "-e", script], { cwd: project, stdio: "ignore" })
      const pid = yield* pidIn(directory)
      parent.kill("SIGKILL")
      yield* eventually("the helper is gone", Effect.sync(() => !isRunning(pid)))
    }).pipe(Effect.provide(NodeServices.layer)))
})
