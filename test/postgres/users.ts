/** Users of bundled servers, in this process and in others, and what there is of a server. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Schedule } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { BundledPostgres } from "../../src/postgres/BundledPostgres.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import { processesOf } from "../support/processes.ts"

const makeDirectory = () => {
  const directory = mkdtempSync(join(tmpdir(), "makima-postgres-test-"))
  // Where the tests run as root, PostgreSQL runs as somebody else.
  chmodSync(directory, 0o755)
  return directory
}

/** An empty directory, gone with the scope as soon as nothing runs in it. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(makeDirectory),
  (directory) =>
    Effect.ensuring(
      nothingRunsIn(directory),
      Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    )
)

/** The same with data in it: one made for all tests of a file, because making takes half a second. */
export const usePreparedDirectories = () => {
  const prepared = makeDirectory()
  beforeAll(() => Effect.runPromise(Effect.scoped(use(prepared))))
  afterAll(() => rmSync(prepared, { recursive: true, force: true }))
  return Effect.tap(
    temporaryDirectory,
    (directory) => Effect.sync(() => execFileSync("cp", ["-a", join(prepared, "postgres"), directory]))
  )
}

/** One more user of the server, until its scope closes. */
export const use = (directory: string) =>
  Effect.map(Layer.build(Layer.fresh(BundledPostgres.layer(directory))), Context.get(BundledPostgres))

export const query = (settings: BundledPostgres["Service"], sql: string) =>
  Effect.provide(
    Effect.flatMap(PgClient, (client) => client.unsafe<{ readonly value: unknown }>(sql)),
    Layer.fresh(layerUnmigrated(settings))
  ).pipe(Effect.map((rows) => rows[0]?.value))

export const postmaster = (directory: string) =>
  Number(readFileSync(join(directory, "postgres", "postmaster.pid"), "utf8").split("\n")[0])

export const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

export const assertStopped = (directory: string, host: string) => {
  assert.isFalse(existsSync(join(directory, "postgres", "postmaster.pid")))
  assert.isFalse(existsSync(host))
  assert.deepStrictEqual(runningIn(directory).filter((line) => line.includes("postgres -D")), [])
}

/** A program of `test/support`, which does not outlive the scope. */
export const startElsewhere = (file: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [join(import.meta.dirname, "../support", file), ...args], {
        env: { ...process.env, ...env },
        stdio: ["pipe", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** A process that becomes a user. */
export const startUser = (directory: string) => startElsewhere("postgresUser.ts", [directory])

export interface Elsewhere {
  readonly child: ChildProcess
  readonly host: string
}

/** What a program says first. */
export const firstLine = (child: ChildProcess) =>
  Effect.callback<string>((resume) => {
    child.stdout?.once("data", (text) => resume(Effect.succeed(String(text).trim())))
  })

/** A user in a process of its own, once it has the server. */
export const joinFromElsewhere = (directory: string) =>
  Effect.flatMap(
    startUser(directory),
    (child) => Effect.map(firstLine(child), (host): Elsewhere => ({ child, host }))
  )

export const end = (child: ChildProcess, how: "leave" | "die") =>
  Effect.callback<void>((resume) => {
    child.once("exit", () => resume(Effect.void))
    if (how === "leave") child.stdin?.end()
    else child.kill("SIGKILL")
  })

/** Everything that runs for a directory: users, guards, servers, and what makes data. */
export const runningIn = (directory: string) => processesOf("no mark", directory)

/** The process ids of the guards, also of those that are at work. */
export const guardsIn = (directory: string) =>
  runningIn(directory).filter((line) => line.includes("afterKill")).map((line) => Number.parseInt(line, 10))

/** Looks until it is so, and fails after some seconds with what it found last. */
export const becomes = <A>(what: string, look: () => A, isSo: (found: A) => boolean) =>
  Effect.sync(look).pipe(
    Effect.flatMap((found) => isSo(found) ? Effect.succeed(found) : Effect.fail(found)),
    Effect.retry(Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(500)])),
    Effect.mapError((found) => new Error(`${what}, but there is ${JSON.stringify(found)}`)),
    Effect.orDie
  )

export const nothingRunsIn = (directory: string) =>
  becomes("nothing runs any more", () => runningIn(directory), (lines) => lines.length === 0)
