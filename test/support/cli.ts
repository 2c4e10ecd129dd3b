/** The command line as people meet it: real processes in folders of their own, none of which outlives its test file. */
import { ConfigProvider, Console, Effect } from "effect"
import { spawn } from "node:child_process"
import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll } from "vitest"
import type { NewStep } from "../../src/actors/DirectiveCommand.ts"
import * as CommandLine from "../../src/cli/CommandLine.ts"
import { environment } from "./environment.ts"
import { processesOf } from "./processes.ts"
import { makeFolder, removeFolder } from "./temporary.ts"

const checkout = resolve(import.meta.dirname, "../..")
const main = join(checkout, "src/main.ts")
export const example = join(checkout, "examples/hello/directive.json")

/** For tests that start many processes, on a machine that has other things to do. */
export const patience = 120_000

/** Of everything that a test file starts: in the environment of each process, and so of its children. */
const mark = `MAKIMA_TEST=${process.pid}-${Math.trunc(performance.timeOrigin + performance.now())}`

const folders: Array<string> = []
const started = new Set<Started>()

/** An empty folder, gone with the test file. */
export const temporary = (): string => {
  const folder = makeFolder()
  folders.push(folder)
  return folder
}

afterAll(async () => {
  for (const process of started) process.kill("SIGKILL")
  await Promise.all([...started].map(({ ended }) => ended))
  folders.forEach(removeFolder)
})

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly pid: number
  readonly ended: Promise<Ended>
  readonly kill: (signal: NodeJS.Signals) => void
  /** Nobody reads its standard output from now on. */
  readonly deafen: () => void
  /** Waits until one of its streams has something; fails when the process ends without it. */
  readonly says: (pattern: RegExp, stream?: "stdout" | "stderr") => Promise<RegExpExecArray>
}

export interface Options {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** In a process group of its own, as a shell starts what is to get a terminal's Ctrl-C. */
  readonly detached?: boolean
}

/** Starts `makima` with arguments. */
export const start = (
  args: ReadonlyArray<string>,
  { cwd = checkout, detached = false, env }: Options = {}
): Started => {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    detached,
    env: {
      ...environment,
      HELLO_PAUSE_MS: "0",
      // Halves the time that a process takes to start.
      NODE_COMPILE_CACHE: join(checkout, "node_modules/.cache/makima-tests"),
      ...Object.fromEntries([mark.split("=")]),
      ...env
    },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const output = { stdout: "", stderr: "" }
  const waiting = new Set<() => void>()
  const wake = () => waiting.forEach((look) => look())
  let isOver = false
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text) => {
      output[name] += text
      wake()
    })
  }
  const ended = new Promise<Ended>((resolve) =>
    child.on("close", (status) => {
      isOver = true
      started.delete(self)
      wake()
      resolve({ status, ...output })
    })
  )
  const self: Started = {
    pid: child.pid!,
    ended,
    kill: (signal) => void child.kill(signal),
    deafen: () => child.stdout.destroy(),
    says: (pattern, stream = "stderr") =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(output[stream])
          if (found === null && !isOver) return
          waiting.delete(look)
          if (found !== null) return resolve(found)
          reject(new Error(`makima ${args.join(" ")} never said ${pattern}:\n${output.stdout}\n${output.stderr}`))
        }
        waiting.add(look)
        look()
      })
  }
  started.add(self)
  return self
}

/** Runs `makima` to its end. */
export const makima = (args: ReadonlyArray<string>, options?: Options): Promise<Ended> => start(args, options).ended

/**
 * The same in this process, which starts a hundred times as fast: for commands that end by themselves and whose
 * arguments have no relative paths.
 */
export const makimaHere = async (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Promise<Ended> => {
  const output = { stdout: "", stderr: "" }
  const log = (line: string) => void (output.stdout += `${line}\n`)
  const error = (line: string) => void (output.stderr += `${line}\n`)
  const exit = await Effect.runPromiseExit(
    CommandLine.run(args).pipe(
      Effect.provideService(Console.Console, { ...globalThis.console, log, error }),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )
  )
  let status: number | null = null
  CommandLine.exitStatusOf(exit, (found) => status = found)
  return { status, ...output }
}

/** Asks again and again until the answer is the one. */
export const until = async <A>(ask: () => A | Promise<A>, isSo: (answer: A) => boolean): Promise<A> => {
  while (true) {
    const answer = await ask()
    if (isSo(answer)) return answer
    await setTimeout(50)
  }
}

/** Waits until there is such a file or folder. */
export const appears = (path: string) => until(() => existsSync(path), (exists) => exists)

/** The lines of a text, without the end of the last one. */
export const lines = (text: string): ReadonlyArray<string> => text === "" ? [] : text.replace(/\n$/, "").split("\n")

// oxlint-disable-next-line typescript/no-explicit-any -- tests look into whatever was printed
export const jsonLines = (text: string): ReadonlyArray<any> => lines(text).map((line) => JSON.parse(line))

/** Writes a directive file; fields that a test does not care about are there. */
export const directiveFile = (folder: string, fields: object, name = "directive.json"): string => {
  const file = join(folder, name)
  writeFileSync(file, JSON.stringify({ title: "Title", goal: "Goal", ...fields }))
  return file
}

/**
 * A shell agent: for each name the script that does tasks of that kind (`plan`, `complete`) or steps of that name. The
 * prompt is in the file `$prompt`.
 */
export const agent = (scripts: Readonly<Record<string, string>>): string => {
  const heading: Record<string, string> = { plan: "^# Directive to plan", complete: "^# Commands" }
  const cases = Object.entries(scripts).map(([name, script]) =>
    `if grep -q '${heading[name] ?? `^Step: ${name}$`}' "$prompt"; then ${script}\nfi`
  )
  return [`prompt=$(mktemp); trap 'rm -f "$prompt"' EXIT; cat > "$prompt"`, ...cases].join("\n")
}

export const step = (name: string, fields: Partial<NewStep> = {}) => ({ name, key: name, orderIndex: 0, ...fields })

/** All processes that this test file started, directly or not, and every PostgreSQL in a folder of its own. */
export const processes = (): ReadonlyArray<string> => processesOf(mark, ...folders)

/** The files below a folder that hold something back from the next run: locks, pid files, worktrees, runs. */
export const leftovers = (folder: string): ReadonlyArray<string> => {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) =>
    /\.lock$|\.pid$|(^|\/)runs\/.|(^|\/)worktrees\/./.test(path)
  )
}
