/**
 * How long `makima serve` takes from the start of its process until it is ready, and until every directive that has
 * something to do goes on, with many more in the log that have nothing.
 *
 * The log is filled through the runtime's own appends, with what directives leave that were carried out, and the
 * supervisor's record of each. `--directives`, `--active` and `--rounds` say how much; `--keep <dir>` fills a directory
 * once and starts there again. The page cache is warm, the bundled PostgreSQL starts with the server.
 */
import { Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import * as Directive from "../src/actors/Directive.ts"
import type { DirectiveCommand } from "../src/actors/DirectiveCommand.ts"
import { EventLog, type StreamAppend } from "../src/events/EventLog.ts"
import { daemonIdOf, DirectiveId, OwnerId } from "../src/events/Ids.ts"
import * as PostgresEventLog from "../src/events/PostgresEventLog.ts"
import * as Database from "../src/postgres/Database.ts"
import { Projections } from "../src/projections/Projections.ts"
import { median } from "./figures.ts"

const { values } = parseArgs({
  options: {
    directives: { type: "string", default: "100000" },
    active: { type: "string", default: "1000" },
    rounds: { type: "string", default: "5" },
    keep: { type: "string" }
  }
})
const [directives, active, rounds] = [values.directives, values.active, values.rounds].map(Number) as [
  number,
  number,
  number
]
const port = 17_420
const owners = 20
const context = { now: 0, policy: Directive.defaultPolicy }

/** One directive as a stream: with two steps that were carried out, or with the first of them on its way. */
const streamOf = (number: number): StreamAppend => {
  const directiveId = DirectiveId.make(`00000000-0000-4000-8000-${String(number).padStart(12, "0")}`)
  const stream = Directive.streamOf(directiveId)
  const ownerId = OwnerId.make(`owner-${number % owners}`)
  const events: Array<StreamAppend["events"][number]> = []
  let state = Directive.empty(stream)
  const command = (command: DirectiveCommand) => {
    const decided = Directive.decide(state, command, context)
    if (decided._tag === "Failure") throw decided.failure
    events.push(...decided.success.events)
    state = decided.success.state
  }
  command({ _tag: "CreateDirective", ownerId, title: `Directive ${number}`, goal: "Be there when it is started" })
  command({
    _tag: "AddSteps",
    steps: [{ key: "first", name: "First" }, { name: "Second", dependsOn: ["first"], orderIndex: 1 }]
  })
  command({ _tag: "StartDirective" })
  const daemonId = daemonIdOf(ownerId, "machine")
  while (true) {
    const [task] = Directive.waitingTasks(state)
    if (task === undefined) return { stream, expected: 0, events }
    command({ _tag: "HandOver", assignments: [{ taskId: task.id, daemonId }] })
    command({ _tag: "ReportTask", taskId: task.id, daemonId, handOver: 1, status: "running" })
    // Spread over the log, as those are that take longer than the others.
    if (number % Math.floor(directives / active) === 0) return { stream, expected: 0, events }
    command({ _tag: "ReportTask", taskId: task.id, daemonId, handOver: 1, status: "completed" })
  }
}

const fill = Effect.gen(function*() {
  const log = yield* EventLog
  let supervisorVersion = 0
  const batch = 500
  for (let first = 0; first < directives; first += batch) {
    const streams = Array.from({ length: Math.min(batch, directives - first) }, (_, i) => streamOf(first + i))
    const record = streams.flatMap(({ stream }) => [
      { _tag: "ActorStarted" as const, address: stream },
      { _tag: "ActorStopped" as const, address: stream, reason: "passivated" as const }
    ])
    yield* log.append(
      [...streams, { stream: `supervisor-127.0.0.1:${port}`, expected: supervisorVersion, events: record }],
      { at: 1_700_000_000_000 + first }
    )
    supervisorVersion += record.length
    if (first % 10_000 === 0) console.error(`${first} directives are in the log`)
  }
  // Made from the log here, so that the server finds them up to date.
  yield* Effect.scoped(Layer.build(Projections.layer))
  return yield* log.head
})

interface Start {
  readonly ready: number
  readonly running: number
}

/** Starts a server, and stops it when everything goes on. */
const start = async (dataDirectory: string): Promise<Start> => {
  const begun = performance.now()
  const main = resolve(import.meta.dirname, "../src/main.ts")
  const server = spawn(process.execPath, [main, "serve", "--port", String(port), "--data-dir", dataDirectory], {
    stdio: ["ignore", "ignore", "pipe"]
  })
  let said = ""
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()))
  const running = new Promise<number>((resolve, reject) => {
    server.stderr.setEncoding("utf8").on("data", (text) => {
      said += text
      if (/go on from the log/.test(said)) resolve(performance.now() - begun)
    })
    server.once("exit", (status) => reject(new Error(`the server ended with ${status}:\n${said}`)))
  })
  const ready = async (): Promise<number> => {
    while (true) {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
      if (answer?.status === 200) return performance.now() - begun
      await setTimeout(5)
    }
  }
  const found = await Promise.all([ready(), running])
  server.kill("SIGTERM")
  await ended
  return { ready: found[0], running: found[1] }
}

const made = values.keep === undefined ? mkdtempSync(join(tmpdir(), "makima-bench-")) : resolve(values.keep)
mkdirSync(made, { recursive: true })
chmodSync(made, 0o755)
const marker = join(made, "filled")
try {
  if (!existsSync(marker)) {
    const store = PostgresEventLog.layer.pipe(Layer.provideMerge(Database.layerBundled(made)))
    const head = await Effect.runPromise(Effect.scoped(fill).pipe(Effect.provide(store)))
    writeFileSync(marker, `${head}\n`)
    console.error(`${head} events are in the log`)
  }
  const starts: Array<Start> = []
  for (let round = 0; round < rounds; round++) starts.push(await start(made))
  const seconds = (which: keyof Start) => {
    const all = starts.map((start) => start[which] / 1_000)
    return `${median(all).toFixed(2)} s (${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)})`
  }
  console.log(`${directives} directives, ${active} of them active, ${rounds} starts`)
  console.log(`from the start of the process to ready   ${seconds("ready")}`)
  console.log(`until all that are active go on          ${seconds("running")}`)
} finally {
  if (values.keep === undefined) rmSync(made, { recursive: true, force: true })
}
