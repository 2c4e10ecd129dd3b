/**
 * One agent: a shell command that never outlives its owner, nor do its children (`internal/guarded.ts`).
 *
 * It knows processes, not tasks: what a task's agent gets to see is decided in `LocalDaemon.ts`.
 */
import { NodeStream } from "@effect/platform-node"
import { Context, Deferred, Duration, Effect, FileSystem, Schema, Stream } from "effect"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { closeSync, constants, openSync } from "node:fs"
import { Socket } from "node:net"
import { PassThrough } from "node:stream"
import { stripVTControlCharacters } from "node:util"
import { type Guarded, spawnGuarded } from "./internal/guarded.ts"

/** The agent could not be started, or ended in another way than with exit status 0. */
export class AgentFailed extends Schema.TaggedError<AgentFailed>()("AgentFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** How long an agent may take to end after it has been asked to. */
export const KillAfter = Context.Reference<Duration.Duration>("makima-runtime/daemon/AgentProcess/KillAfter", {
  defaultValue: () => Duration.seconds(10)
})

export interface Options {
  /** Shell text. */
  readonly command: string
  readonly cwd: string
  /** All of the agent's environment: nothing is inherited. */
  readonly env: Record<string, string>
  /** Its standard input. */
  readonly prompt: string
  readonly onStart: (agent: Running) => Effect.Effect<void>
  /** Standard output and error, in the order of their writing. The agent waits while this does. */
  readonly onOutput: (text: string) => Effect.Effect<void>
}

export interface Running {
  /** Also the id of its process group. */
  readonly pid: number
  /** Ends the whole group at once. */
  readonly kill: Effect.Effect<void>
}

interface Ended {
  readonly code: number | null
  readonly signal: string | null
}

interface Agent extends Running {
  /** Where this process reads what the agent writes. */
  readonly pipe: Socket
  readonly output: PassThrough
  readonly ended: Deferred.Deferred<Ended>
  readonly signal: Guarded["signal"]
}

/** How long output is awaited that a process outside the agent's group may hold open for ever. */
const outputGrace = Duration.seconds(1)

const tailLengthMax = 2000

const asError = (cause: unknown): Error => cause instanceof Error ? cause : new Error(String(cause))

const open = (path: string, flags: number) => Effect.try({ try: () => openSync(path, flags), catch: asError })
const openScoped = (path: string, flags: number) =>
  Effect.acquireRelease(open(path, flags), (fd) => Effect.sync(() => closeSync(fd)))

const makeFifo = (path: string) =>
  Effect.callback<void, Error>((resume) => {
    // In a group of its own, because Ctrl-C in a terminal should interrupt the task and not fail it.
    const child = spawn("mkfifo", ["-m", "600", path], { detached: true, stdio: "ignore" })
    child.once("error", (error) => resume(Effect.fail(error)))
    child.once("exit", (code) => resume(code === 0 ? Effect.void : Effect.fail(new Error(`no FIFO at ${path}`))))
  })

/**
 * What the agent reads and writes: a file and a pipe, both soon without a name. An agent may read its prompt whole, in
 * part or not at all, and open `/dev/stdin`, `/dev/stdout` and `/dev/stderr`, which cannot be done with the sockets that
 * Node would connect.
 */
const openStandard = Effect.fnUntraced(function*(prompt: string) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "makima-agent-" })
  const [input, output] = [`${directory}/prompt`, `${directory}/output`]
  yield* fs.writeFileString(input, prompt, { mode: 0o600 })
  yield* makeFifo(output)
  const pipe = new Socket({
    fd: yield* open(output, constants.O_RDONLY | constants.O_NONBLOCK),
    readable: true,
    writable: false
  })
  yield* Effect.addFinalizer((exit) => Effect.sync(() => exit._tag === "Failure" && pipe.destroy()))
  // Once it runs, only the agent and its children hold the other end: when they are gone, so is the output.
  return {
    stdin: yield* openScoped(input, constants.O_RDONLY),
    stdout: yield* openScoped(output, constants.O_WRONLY),
    pipe
  }
})

const start = Effect.fnUntraced(function*(options: Options) {
  const ended = Deferred.makeUnsafe<Ended>()
  const { pipe, stdin, stdout } = yield* openStandard(options.prompt)
  return yield* Effect.callback<Agent, Error>((resume) => {
    const { child, clear, signal } = spawnGuarded(["/bin/sh", "-c", options.command], {
      cwd: options.cwd,
      env: options.env,
      stdio: [stdin, stdout, stdout],
      // A name in the environment of real processes, by which those that stray are found; nothing is decided by it.
      mark: randomUUID()
    })
    const output = new PassThrough().setEncoding("utf8")
    pipe.on("error", () => output.end()).pipe(output)
    child.once("error", (error) => resume(Effect.fail(error)))
    child.once("exit", (code, name) => {
      void Effect.runPromise(clear).then(() => Deferred.doneUnsafe(ended, Effect.succeed({ code, signal: name })))
    })
    child.once("spawn", () => {
      const kill = Effect.sync(() => Deferred.isDoneUnsafe(ended) || signal("SIGKILL"))
      resume(Effect.succeed({ pid: child.pid!, pipe, output, ended, signal, kill }))
    })
  })
}, Effect.scoped)

const stop = Effect.fnUntraced(function*({ ended, pipe, signal }: Agent) {
  if (!Deferred.isDoneUnsafe(ended)) {
    // Nobody reads any more, and a full pipe would keep it from ending by itself.
    pipe.unpipe().resume()
    signal("SIGTERM")
    yield* Effect.timeoutOption(Deferred.await(ended), yield* KillAfter)
    if (!Deferred.isDoneUnsafe(ended)) signal("SIGKILL")
    yield* Deferred.await(ended)
  }
  pipe.destroy()
})

const outputOf = ({ ended, output }: Agent): Stream.Stream<string> =>
  NodeStream.fromReadable<string>({ evaluate: () => output }).pipe(
    Stream.interruptWhen(Effect.andThen(Deferred.await(ended), Effect.sleep(outputGrace))),
    Stream.orDie
  )

/** The word of a shell command that is looked for in PATH. */
const programOf = (command: string): string =>
  command.trim().split(/\s+/).find((word) => !/^\w+=/.test(word)) ?? command

const explain = (command: string, { code, signal }: Ended): string => {
  const end = code === null ? `agent was ended by ${signal}` : `agent exited with status ${code}`
  if (code === 127) return `${end}: the command ${JSON.stringify(programOf(command))} was not found`
  if (code === 126) return `${end}: the command ${JSON.stringify(programOf(command))} cannot be executed`
  return end
}

/** The last lines of a terminal's text, as plain text. */
const lastLines = (text: string): string =>
  stripVTControlCharacters(text).replace(/[^\P{Cc}\n\t]/gu, "").trim().split("\n").slice(-20).join("\n").toWellFormed()

/**
 * Runs an agent to its end: exit status 0, or `AgentFailed`. Interrupting it asks the whole group to end and kills it
 * after `KillAfter`. Whatever is left in the group when the agent has ended is killed in any case.
 */
export const run = Effect.fn("AgentProcess.run")(function*(options: Options) {
  const agent = yield* Effect.acquireRelease(
    Effect.mapError(
      start(options),
      (error) => new AgentFailed({ reason: `agent could not be started: ${error.message}` })
    ),
    stop
  )
  yield* options.onStart(agent)
  let tail = ""
  yield* Stream.runForEach(outputOf(agent), (text) => {
    tail = (tail + text).slice(-tailLengthMax)
    return options.onOutput(text)
  })
  const ended = yield* Deferred.await(agent.ended)
  if (ended.code === 0) return
  const lines = lastLines(tail)
  const reason = explain(options.command, ended)
  return yield* new AgentFailed({ reason: lines === "" ? reason : `${reason}\n${lines}` })
}, Effect.scoped)
