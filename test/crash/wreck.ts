/**
 * One run of the example by real processes, whose server is killed on the way at moments that a seed decides.
 *
 * `makima serve` on its own PostgreSQL, a `makima daemon` with the example's agent, and a client that asks until it is
 * answered. The daemon is left alone: it and its agents outlive the server. In the end the directive has to be where it
 * would be had nothing happened, each task's agent has to have been started once, and nothing may be left.
 */
import { Schema } from "effect"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { environment } from "../support/environment.ts"
import { freePort } from "../support/freePort.ts"
import { processesOf } from "../support/processes.ts"
import { repositoryIn } from "../support/repository.ts"
import { makeFolder, removeFolder } from "../support/temporary.ts"
import { locksIn, socketsOf, worktreesIn } from "./remains.ts"

const checkout = resolve(import.meta.dirname, "../..")
const main = join(checkout, "src/main.ts")
const example = join(checkout, "examples/hello")

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
export const randomOf = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

export interface Options {
  readonly seed: number
  /** How often the server is killed. */
  readonly kills: number
  /** Kills come within so many milliseconds after a server has begun to start. */
  readonly killWithinMillis: number
}

export interface Report {
  readonly millis: number
  /** When the server was killed, in milliseconds from the start of the run, and how many events the log had. */
  readonly kills: ReadonlyArray<{ readonly at: number; readonly agents: number }>
  readonly events: number
}

interface Process {
  readonly pid: number
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<number | null>
  readonly said: () => string
}

const endMillisMax = 120_000

/** Throws with what is wrong. The folder of a run that went wrong stays. */
export const wreck = async ({ kills, killWithinMillis, seed }: Options): Promise<Report> => {
  const random = randomOf(seed)
  const folder = makeFolder()
  const mark = `MAKIMA_WRECK=${randomUUID()}`
  const env = {
    ...environment,
    ...Object.fromEntries([mark.split("=")]),
    HELLO_PAUSE_MS: "200"
  }
  const running = new Set<Process>()
  const start = (args: ReadonlyArray<string>, more: Record<string, string> = {}): Process => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: folder,
      env: { ...env, ...more },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let said = ""
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => said += text)
    const ended = new Promise<number | null>((resolve) =>
      child.once("exit", (status) => {
        running.delete(self)
        resolve(status)
      })
    )
    const self: Process = { pid: child.pid!, kill: (signal) => void child.kill(signal), ended, said: () => said }
    running.add(self)
    return self
  }
  const finish = async (args: ReadonlyArray<string>): Promise<string> => {
    const process = start(args)
    const status = await process.ended
    if (status !== 0) throw new Error(`makima ${args.join(" ")} ended with ${status}: ${process.said()}`)
    return process.said()
  }

  const begun = performance.now()
  const starts = join(folder, "starts")
  writeFileSync(starts, "")
  const agentsStarted = () => readFileSync(starts, "utf8").split("\n").filter((line) => line !== "")
  const data = join(folder, "data")
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const times = ["--heartbeat-seconds", "1"]
  const serve = () =>
    start([
      "serve",
      "--port",
      String(port),
      "--data-dir",
      data,
      "--grace-seconds",
      "60",
      "--reconcile-seconds",
      "5",
      ...times
    ])
  const logs: Array<() => string> = []
  let succeeded = false
  try {
    const repository = repositoryIn(folder, { files: join(example, "repository") })
    const key = (await finish(["keys", "create", "wreck", "--owner", "ada", "--data-dir", data])).trim()
    const ask = asker(url, key)

    let server = serve()
    logs.push(server.said)
    const daemon = start([
      "daemon",
      "--agent",
      `echo "$MAKIMA_TASK_ID" >>"${starts}"; exec "${process.execPath}" "${join(example, "agent.ts")}"`,
      "--data-dir",
      join(folder, "worker"),
      ...times
    ], { MAKIMA_API_URL: url, MAKIMA_API_KEY: key })
    logs.push(daemon.said)

    const killed: Array<{ readonly at: number; readonly agents: number }> = []
    const killing = (async () => {
      for (let kill = 0; kill < kills; kill++) {
        await setTimeout(random() * killWithinMillis)
        server.kill("SIGKILL")
        await server.ended
        killed.push({ at: Math.round(performance.now() - begun), agents: agentsStarted().length })
        await setTimeout(random() ** 3 * 3_000)
        server = serve()
        logs.push(server.said)
      }
    })()

    const giveUpAt = performance.now() + endMillisMax + kills * killWithinMillis
    const until = async <A>(look: () => Promise<A | undefined>, what: string): Promise<A> => {
      while (performance.now() < giveUpAt) {
        const found = await look()
        if (found !== undefined) return found
        await setTimeout(50)
      }
      throw new Error(`it never came to this: ${what}`)
    }
    const { goal, title } = JSON.parse(readFileSync(join(example, "directive.json"), "utf8"))
    const created = await until(
      () => ask(Created, "POST", "/api/v1/directives", { title, goal, repositoryUrl: repository, start: true }),
      "the directive is created"
    )
    await killing
    const path = `/api/v1/directives/${created.directiveId}`
    // Idle comes twice: before the pull request, and after it.
    const end = await until(async () => {
      const shown = await ask(Shown, "GET", path)
      if (shown === undefined || !["paused", "stalled", "idle"].includes(shown.status)) return undefined
      return shown.tasks.every(({ endedAt }) => endedAt !== null) ? shown : undefined
    }, "all tasks have ended")
    const events = await until(() => ask(Events, "GET", `${path}/events`), "its events are read")

    daemon.kill("SIGTERM")
    const left = await daemon.ended
    server.kill("SIGTERM")
    await server.ended

    const wrong: Array<string> = []
    const want = (what: string, actual: unknown, expected: unknown) => {
      const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)]
      if (is !== should) wrong.push(`${what}: ${is}, not ${should}`)
    }
    want("status", end.status, "idle")
    want("statuses of the steps", end.steps.map(({ status }) => status), Array(7).fill("completed"))
    want("statuses of the tasks", end.tasks.map(({ status }) => status), Array(9).fill("completed"))
    want("pull request", end.prUrl, "https://example.invalid/hello/pull/1")
    want("agents started", agentsStarted().toSorted(), end.tasks.map(({ id }) => id).toSorted())
    want("the daemon's exit status", left, 130)
    want("processes", await gone(() => processesOf(mark, folder)), [])
    want("worktrees", worktreesIn(folder), [])
    want("locks", locksIn(folder), [])
    want("sockets", socketsOf(data), [])
    if (wrong.length > 0) throw new Error(wrong.join("\n"))
    succeeded = true
    return { millis: Math.round(performance.now() - begun), kills: killed, events: events.length }
  } catch (error) {
    const file = join(folder, "said")
    writeFileSync(file, logs.map((said) => said()).join("\n\n======\n\n"))
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}\n(what was said is in ${file})`, {
      cause: error
    })
  } finally {
    for (const process of running) process.kill("SIGTERM")
    await Promise.all([...running].map(({ ended }) => ended))
    if (succeeded) removeFolder(folder)
  }
}

// What is looked at of the answers.
const Created = Schema.Struct({ directiveId: Schema.String })
const Shown = Schema.Struct({
  status: Schema.String,
  prUrl: Schema.NullOr(Schema.String),
  steps: Schema.Array(Schema.Struct({ status: Schema.String })),
  tasks: Schema.Array(
    Schema.Struct({ id: Schema.String, status: Schema.String, endedAt: Schema.NullOr(Schema.Unknown) })
  )
})
const Events = Schema.Array(Schema.Unknown)

/** Asks once: undefined while there is no server to answer, or none that can. A key makes repeats harmless. */
const asker = (url: string, key: string) => {
  const idempotencyKey = randomUUID()
  return async <A>(
    as: Schema.Decoder<A>,
    method: "GET" | "POST",
    path: string,
    body?: object
  ): Promise<A | undefined> => {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { "content-type": "application/json", "idempotency-key": idempotencyKey })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000)
    }).catch(() => undefined)
    if (response === undefined || response.status === 503 || response.status === 429) return undefined
    const text = await response.text().catch(() => undefined)
    if (text === undefined) return undefined
    if (response.status >= 300) throw new Error(`${method} ${path} answered ${response.status}: ${text}`)
    const isLines = response.headers.get("content-type")?.includes("ndjson") === true
    return Schema.decodeUnknownSync(as)(
      isLines
        ? text.split("\n").filter((line) => line !== "").map((line): unknown => JSON.parse(line))
        : JSON.parse(text)
    )
  }
}

/** What is still there after a moment, since the dead may have to be buried by others. */
const gone = async (look: () => ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
  for (let tries = 0; tries < 100 && look().length > 0; tries++) await setTimeout(50)
  return look()
}
