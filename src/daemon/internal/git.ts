/** Runs git for the local daemon: without prompts, hooks, translations or anybody else's repository in the environment. */
import { Deferred, Effect, Schema } from "effect"
import { dirname } from "node:path"
import { spawnGuarded } from "./guarded.ts"

/** Git could not be run, or said no. `line` is the one line of what it said that matters most. */
export class GitFailed extends Schema.TaggedError<GitFailed>()("GitFailed", {
  command: Schema.String,
  line: Schema.String
}) {
  override get message(): string {
    return `git ${this.command} failed: ${this.line}`
  }
}

interface Options {
  readonly env?: Record<string, string>
  readonly stdin?: string
}

/** Variables that would make git, ours or an agent's, work on another repository than the one of its directory. */
export const repositoryVariables: ReadonlyArray<string> = [
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_COMMON_DIR",
  "GIT_CONFIG",
  "GIT_DIR",
  "GIT_GRAFT_FILE",
  "GIT_IMPLICIT_WORK_TREE",
  "GIT_INDEX_FILE",
  "GIT_NAMESPACE",
  "GIT_OBJECT_DIRECTORY",
  "GIT_PREFIX",
  "GIT_REPLACE_REF_BASE",
  "GIT_SHALLOW_FILE",
  "GIT_WORK_TREE"
]

const environment: Record<string, string | undefined> = {
  ...Object.fromEntries(repositoryVariables.map((name) => [name, undefined])),
  GIT_TERMINAL_PROMPT: "0",
  // A connection that has died without a word ends after a minute instead of never.
  GIT_HTTP_LOW_SPEED_LIMIT: "100",
  GIT_HTTP_LOW_SPEED_TIME: "60",
  LC_ALL: "C"
}

const lineLengthMax = 300

/** What matters most is what git itself calls fatal, else an error, else whatever it said last; never a password. */
const lineOf = (output: string): string => {
  const lines = output.split(/[\r\n]+/).map((line) => line.trim()).filter((line) => line !== "")
  const line = lines.find((line) => line.startsWith("fatal:")) ??
    lines.find((line) => line.startsWith("error:") || line.startsWith("! [")) ??
    lines.at(-1) ?? "it gave no reason"
  return line
    .replace(/^(fatal|error): /, "")
    .replace(/:\/\/[^/@\s]*@/g, "://")
    .slice(0, lineLengthMax)
}

/** How long a git that is not wanted any more may take to take its lock files away. */
const killAfter = "5 seconds"

/** Standard output of a git command in `directory`, or `GitFailed`. */
export const git = (
  directory: string,
  args: ReadonlyArray<string>,
  options: Options = {}
): Effect.Effect<string, GitFailed> =>
  Effect.callback<string, GitFailed>((resume) => {
    const { child, clear, signal } = spawnGuarded(["git", "-c", "core.hooksPath=/dev/null", ...args], {
      cwd: directory,
      // A directory that is no repository must never be taken for a part of one further up, which is somebody else's.
      env: { ...process.env, ...environment, GIT_CEILING_DIRECTORIES: dirname(directory), ...options.env },
      stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"]
    })
    const ended = Deferred.makeUnsafe<void>()
    const output = { stdout: "", stderr: "" }
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => output[name] += text)
    }
    // A git that has read enough ends without the rest.
    child.stdin?.on("error", () => {}).end(options.stdin)
    const fail = (line: string) => resume(Effect.fail(new GitFailed({ command: commandOf(args), line })))
    child.once("error", ({ message }) => {
      fail(lineOf(message))
      Deferred.doneUnsafe(ended, Effect.void)
    })
    child.once("exit", () => Effect.runSync(clear))
    child.once("close", (code, name) => {
      if (code === 0) resume(Effect.succeed(output.stdout))
      else if (code === null) fail(`it was ended by ${name}`)
      else fail(lineOf(output.stderr === "" ? output.stdout : output.stderr))
      Deferred.doneUnsafe(ended, Effect.void)
    })
    return Effect.gen(function*() {
      signal("SIGTERM")
      yield* Effect.timeoutOption(Deferred.await(ended), killAfter)
      signal("SIGKILL")
      yield* Deferred.await(ended)
    })
  })

/** The subcommand: the first word that is neither an option nor the value of a `-c`. */
const commandOf = (args: ReadonlyArray<string>): string =>
  args.find((word, index) => !word.startsWith("-") && args[index - 1] !== "-c") ?? "command"

/** The lines of a git command's output. */
export const gitLines = (directory: string, args: ReadonlyArray<string>) =>
  Effect.map(git(directory, args), (output) => output.split("\n").filter((line) => line !== ""))

/** The object that a name stands for, or undefined where there is none. */
export const commitOf = (directory: string, name: string) =>
  git(directory, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`]).pipe(
    Effect.map((output) => output.trim()),
    Effect.orElseSucceed(() => undefined)
  )
