/**
 * One agent: a shell command in a process group of its own, which never outlives its owner.
 *
 * It knows processes, not tasks: what a task's agent gets to see is decided in `LocalDaemon.ts`.
 */
import { NodeStream } from "@effect/platform-node"
import { Context, Deferred, Duration, Effect, FileSystem, Schema, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { open } from "node:fs/promises"
import { PassThrough } from "node:stream"
import { stripVTControlCharacters } from "node:util"

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
  readonly child: ChildProcess
  readonly output: PassThrough
  readonly ended: Deferred.Deferred<Ended>
  readonly signal: (signal: "SIGTERM" | "SIGKILL") => void
}

/**
 * The guard is a shell in the agent's own group that waits for the end of the pipe whose other end this process holds.
 * However this process ends, SIGKILL included, the pipe ends with it, and the guard takes the group along. The agent
 * takes the place of the outer shell, so its exit status, its standard input and its children are its own.
 */
const guarded = `
{ trap '' HUP INT TERM; read -r line; kill -s KILL 0; } <&3 >/dev/null 2>&1 &
exec /bin/sh -c "$1" 3<&- 2>&1
`

/** How long output is awaited that a process outside the agent's group may hold open for ever. */
const outputGrace = Duration.seconds(1)

const tailLengthMax = 2000

/**
 * The prompt is a file without a name: an agent may read it whole, in part or not at all, or open `/dev/stdin`, which
 * cannot be done with the socket that Node would connect.
 */
const openPrompt = Effect.fnUntraced(function*(prompt: string) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "makima-prompt-" })
  const path = `${directory}/prompt`
  yield* fs.writeFileString(path, prompt, { mode: 0o600 })
  return yield* Effect.acquireRelease(
    Effect.tryPromise(() => open(path)),
    (file) => Effect.promise(() => file.close())
  )
})

const start = Effect.fnUntraced(function*(options: Options) {
  const ended = Deferred.makeUnsafe<Ended>()
  const { fd } = yield* openPrompt(options.prompt)
  return yield* Effect.callback<Agent, Error>((resume) => {
    const child = spawn("/bin/sh", ["-c", guarded, "makima-agent", options.command], {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: [fd, "pipe", "ignore", "pipe"]
    })
    const signal = (signal: "SIGTERM" | "SIGKILL") => {
      try {
        process.kill(-child.pid!, signal)
      } catch {
        // Nobody is left in the group.
      }
    }
    // Node throws the output of a process away that ends before somebody reads; so somebody does from the beginning.
    const output = new PassThrough().setEncoding("utf8")
    child.stdout?.pipe(output)
    child.stdio[3]?.on("error", () => {})
    child.once("error", (error) => resume(Effect.fail(error)))
    child.once("exit", (code, name) => {
      // The guard is still in the group, so the group's id is still its own.
      signal("SIGKILL")
      child.stdio[3]?.destroy()
      Deferred.doneUnsafe(ended, Effect.succeed({ code, signal: name }))
    })
    child.once("spawn", () => {
      const kill = Effect.sync(() => Deferred.isDoneUnsafe(ended) || signal("SIGKILL"))
      resume(Effect.succeed({ pid: child.pid!, child, output, ended, signal, kill }))
    })
  })
}, Effect.scoped)

const stop = Effect.fnUntraced(function*({ child, ended, signal }: Agent) {
  if (!Deferred.isDoneUnsafe(ended)) {
    // Nobody reads any more, and a full pipe would keep it from ending by itself.
    child.stdout?.unpipe().resume()
    signal("SIGTERM")
    yield* Effect.timeoutOption(Deferred.await(ended), yield* KillAfter)
    if (!Deferred.isDoneUnsafe(ended)) signal("SIGKILL")
    yield* Deferred.await(ended)
  }
  child.stdout?.destroy()
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
