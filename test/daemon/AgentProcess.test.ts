import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber } from "effect"
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as AgentProcess from "../../src/daemon/AgentProcess.ts"
import { eventually } from "../support/eventually.ts"
import { isRunning } from "../support/processes.ts"
import { temporaryDirectory, written } from "./localSupport.ts"

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const path = process.env["PATH"] ?? ""

/** Runs an agent in a directory of its own, and gives how it ended with all that it wrote. */
const runAgent = Effect.fnUntraced(function*(command: string, options: Partial<AgentProcess.Options> = {}) {
  const cwd = options.cwd ?? (yield* temporaryDirectory)
  const chunks: Array<string> = []
  const result = yield* Effect.result(AgentProcess.run({
    command,
    cwd,
    env: { PATH: path },
    prompt: "",
    onStart: () => Effect.void,
    onOutput: (text) => Effect.sync(() => chunks.push(text)),
    ...options
  }))
  return { failure: result._tag === "Failure" ? result.failure.reason : undefined, chunks, output: chunks.join("") }
})

const directoryWith = Effect.fnUntraced(function*(name: string) {
  const directory = yield* temporaryDirectory
  writeFileSync(join(directory, name), "")
  return directory
})

describe("AgentProcess", () => {
  it.live("gives the agent its environment, and nothing else", () =>
    Effect.gen(function*() {
      const { failure, output } = yield* runAgent("echo \"$MAKIMA_TASK_ID in $(pwd) without $HOME.\"", {
        cwd: "/",
        env: { PATH: path, MAKIMA_TASK_ID: "a task" }
      })
      assert.strictEqual(failure, undefined)
      assert.strictEqual(output, "a task in / without .\n")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("gives the agent a large prompt whole, also where it opens /dev/stdin by name", () =>
    Effect.gen(function*() {
      const prompt = "0123456789abcdef".repeat(65_536)
      const { failure, output } = yield* runAgent("wc -c </dev/stdin", { prompt })
      assert.strictEqual(failure, undefined)
      assert.strictEqual(output.trim(), String(1024 * 1024))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("lets an agent leave a large prompt unread", () =>
    Effect.gen(function*() {
      const { failure } = yield* runAgent("true", { prompt: "0123456789abcdef".repeat(65_536) })
      assert.strictEqual(failure, undefined)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("lets an agent open its output by name, from wherever it writes", () =>
    Effect.gen(function*() {
      const command = "echo one >/dev/stderr; echo two | tee /dev/stdout; (echo three >>/dev/stdout) 2>/dev/null"
      const { failure, output } = yield* runAgent(command)
      assert.strictEqual(failure, undefined)
      assert.strictEqual(output, "one\ntwo\ntwo\nthree\n")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("says how an agent failed, with its last lines as plain text", () =>
    Effect.gen(function*() {
      const { failure } = yield* runAgent("printf 'one\\n\\033[31mtwo\\033[0m\\a\\n'; echo three >&2; exit 3")
      assert.strictEqual(failure, "agent exited with status 3\none\ntwo\nthree")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("bounds the output that goes into a failure", () =>
    Effect.gen(function*() {
      const { failure, output } = yield* runAgent("yes 'a line' | head -n 100000; exit 1")
      assert.strictEqual(output.length, 700_000)
      assert.isBelow(failure?.length ?? 0, 2200)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("names the command that cannot be found", () =>
    Effect.gen(function*() {
      const { failure } = yield* runAgent("LEVEL=1 no-such-agent --now")
      assert.match(failure ?? "", /^agent exited with status 127: the command "no-such-agent" was not found\n/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("names the command that cannot be executed", () =>
    Effect.gen(function*() {
      const { failure } = yield* runAgent("./agent --now", { cwd: yield* directoryWith("agent") })
      assert.match(failure ?? "", /^agent exited with status 126: the command "\.\/agent" cannot be executed\n/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("says that a directory to run in is missing", () =>
    Effect.gen(function*() {
      const { failure } = yield* runAgent("true", { cwd: "/no/such/directory" })
      assert.match(failure ?? "", /^agent could not be started: /)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("keeps characters whole that are written in pieces", () =>
    Effect.gen(function*() {
      const cwd = yield* temporaryDirectory
      // The second half of the character is written only when the text before it has been seen to arrive.
      const command = "printf 'a\\303'; until [ -e go ]; do sleep 0.01; done; printf '\\244z'"
      const chunks: Array<string> = []
      const { failure } = yield* runAgent(command, {
        cwd,
        onOutput: (text) =>
          Effect.sync(() => {
            chunks.push(text)
            writeFileSync(join(cwd, "go"), "")
          })
      })
      assert.strictEqual(failure, undefined)
      assert.deepStrictEqual(chunks, ["a", "äz"])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("ends with the agent although a process that nobody knows of keeps the output open", () =>
    Effect.gen(function*() {
      const cwd = yield* temporaryDirectory
      const { failure, output } = yield* runAgent(
        "env -i setsid sh -c 'echo $$ > pid; sleep 60' & until [ -s pid ]; do :; done; echo out",
        {
          cwd
        }
      )
      process.kill(-Number(yield* written(join(cwd, "pid"))), "SIGKILL")
      assert.strictEqual(failure, undefined)
      assert.strictEqual(output, "out\n")
    }).pipe(Effect.provide(NodeServices.layer)))

  // Elsewhere nothing tells such a process from others: `internal/guarded.ts` says so.
  it.live.runIf(process.platform === "linux")(
    "kills what has left the group, also where that has children",
    () =>
      Effect.gen(function*() {
        const cwd = yield* temporaryDirectory
        const escape = "setsid sh -c 'sh -c \"echo \\$\\$ > child; exec sleep 60\" & echo $$ > pid; wait' & "
        const { failure } = yield* runAgent(`${escape} until [ -s pid ] && [ -s child ]; do :; done`, { cwd })
        assert.strictEqual(failure, undefined)
        for (const file of ["pid", "child"]) {
          const pid = Number(yield* written(join(cwd, file)))
          assert.isFalse(isRunning(pid), file)
        }
      }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("kills what a finished agent leaves in its group", () =>
    Effect.gen(function*() {
      const cwd = yield* temporaryDirectory
      const { failure } = yield* runAgent("sh -c 'echo $$ > pid; sleep 60' & until [ -s pid ]; do :; done", { cwd })
      assert.strictEqual(failure, undefined)
      const pid = Number(yield* written(join(cwd, "pid")))
      yield* eventually("the child is gone", Effect.sync(() => !isRunning(pid)))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("interrupts an agent with all its children, which may tidy up", () =>
    Effect.gen(function*() {
      const cwd = yield* temporaryDirectory
      const child = "sh -c 'echo $$ > child; exec sleep 60' & "
      const command = `trap 'sleep 0.1; echo tidy > tidied; exit 0' TERM; ${child} echo $$ > pid; wait`
      const fiber = yield* Effect.forkChild(runAgent(command, { cwd }))
      const pids = [Number(yield* written(join(cwd, "pid"))), Number(yield* written(join(cwd, "child")))]
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* written(join(cwd, "tidied")), "tidy")
      for (const pid of pids) yield* eventually("it is gone", Effect.sync(() => !isRunning(pid)))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("kills an agent that does not end when it is asked to", () =>
    Effect.gen(function*() {
      const cwd = yield* temporaryDirectory
      const fiber = yield* runAgent("trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done", { cwd }).pipe(
        Effect.provideService(AgentProcess.KillAfter, Duration.millis(200)),
        Effect.forkChild
      )
      const pid = Number(yield* written(join(cwd, "pid")))
      yield* Fiber.interrupt(fiber)
      assert.isFalse(isRunning(pid))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("can be killed at once while it is being asked to end", () =>
    Effect.gen(function*() {
      const cwd = yield* temporaryDirectory
      const started = yield* Deferred.make<AgentProcess.Running>()
      const fiber = yield* Effect.forkChild(runAgent("trap '' TERM; echo ready > ready; while :; do sleep 0.1; done", {
        cwd,
        onStart: (agent) => Effect.asVoid(Deferred.succeed(started, agent))
      }))
      const { kill, pid } = yield* Deferred.await(started)
      yield* written(join(cwd, "ready"))
      fiber.interruptUnsafe()
      yield* kill
      yield* Effect.timeout(Fiber.await(fiber), "5 seconds")
      assert.isFalse(isRunning(pid))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("leaves no agent behind when its own process is killed", () =>
    Effect.gen(function*() {
      const cwd = yield* temporaryDirectory
      const escape = process.platform === "linux" ? "setsid" : ""
      const command = `trap '' TERM HUP; ${escape} sh -c 'echo $$ > child; exec sleep 60' & echo $$ > pid; wait`
      const script = `
        import { NodeServices } from "@effect/platform-node"
        import { Effect } from "effect"
        import * as AgentProcess from ${JSON.stringify(join(project, "src/daemon/AgentProcess.ts"))}
        const [cwd, command] = process.argv.slice(-2)
        const nothing = () => Effect.void
        const options = { command, cwd, env: process.env, prompt: "p", onStart: nothing, onOutput: nothing }
        Effect.runFork(AgentProcess.run(options).pipe(Effect.provide(NodeServices.layer)))
      `
      const parent = spawn(process.execPath, ["--input-type=module", "-e", script, "--", cwd, command], {
        cwd: project,
        stdio: ["ignore", "ignore", "inherit"]
      })
      const pids = [Number(yield* written(join(cwd, "pid"))), Number(yield* written(join(cwd, "child")))]
      assert.isTrue(pids.every(isRunning))
      parent.kill("SIGKILL")
      for (const pid of pids) yield* eventually("it is gone", Effect.sync(() => !isRunning(pid)))
    }).pipe(Effect.provide(NodeServices.layer)))
})
