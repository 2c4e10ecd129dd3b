/**
 * Goal: nothing is left of makima, however it ends: no process of it, of its agents or of its PostgreSQL, no worktree, no
 * lock file, no socket, no connection to the database and no advisory lock.
 *
 * Method: real processes, ended in every way there is, and a count after each. The worktrees of a killed process are
 * taken away by whoever comes next in the same place, so that is started first, where it says so.
 *
 * Not here: processes that hide from their daemon; `daemon/internal/guarded.ts` says which can.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { beforeAll } from "vitest"
import {
  agent,
  appears,
  directiveFile,
  patience,
  processes,
  start,
  type Started,
  step,
  temporary,
  until
} from "../support/cli.ts"
import { useDatabase } from "../support/makimaDatabase.ts"
import { layerAdmin } from "../support/postgres.ts"
import { isRunning } from "../support/processes.ts"
import { repositoryIn } from "../support/repository.ts"
import { addSteps, clientOf, createDirective, newKey, portOf, serve, succeed } from "../support/servers.ts"
import { locksIn, socketsOf, worktreesIn } from "./remains.ts"

const database = useDatabase()
const folder = temporary()
const data = join(folder, "data")
const repository = join(folder, "repository")

beforeAll(() => {
  repositoryIn(folder)
})

/** Connections to the database of this file, and advisory locks in it. */
const heldInDatabase = () => {
  const name = new URL(database()["MAKIMA_DATABASE_URL"]!).pathname.slice(1)
  return Effect.runPromise(
    SqlClient.use((sql) =>
      sql<{ readonly what: string }>`
        SELECT 'connection of ' || application_name AS what FROM pg_stat_activity WHERE datname = ${name}
        UNION ALL
        SELECT 'lock ' || l.objid::text FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = ${name}`
    ).pipe(
      Effect.map((rows) => rows.map(({ what }) => what)),
      Effect.provide(layerAdmin)
    )
  )
}

const remains = async (): Promise<ReadonlyArray<string>> => [
  ...processes(),
  ...worktreesIn(folder),
  ...locksIn(folder),
  ...socketsOf(data),
  ...(await heldInDatabase())
]

/** The dead may have to be buried by others, and a server notices a moment later that a client is gone. */
const nothingIsLeft = async (what: string) => {
  const left = await Effect.runPromise(
    Effect.promise(remains).pipe(
      Effect.repeat({
        until: (left) => left.length === 0,
        schedule: Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(80)])
      })
    )
  ).then((last) => typeof last === "number" ? remains() : last)
  assert.deepStrictEqual(left, [], what)
}

/** Waits, with a child that has left the group where a process can. */
const escape = process.platform === "linux" ? "setsid sleep 300 & " : ""
const waiting = (pidFile: string) => `${escape}sleep 300 & echo $$ > "${pidFile}"; exec sleep 300`

describe("Nothing is left", { timeout: patience }, () => {
  const run = (name: string, script: string) => {
    const fields = {
      repositoryUrl: "repository",
      agent: agent({ Work: script, complete: "true" }),
      steps: [step("Work")]
    }
    return start(["run", directiveFile(folder, fields, `${name}.json`), "--data-dir", data])
  }
  const working = async (name: string): Promise<Started> => {
    const pidFile = join(folder, `${name}.agent`)
    const started = run(name, waiting(pidFile))
    await appears(pidFile)
    return started
  }

  it("of a run that goes well, that fails, that is stopped, and that is killed", async () => {
    assert.strictEqual((await run("well", "echo done > done").ended).status, 0)
    await nothingIsLeft("after a run that goes well")

    assert.strictEqual((await run("badly", "exit 1").ended).status, 1)
    await nothingIsLeft("after a run that fails")

    const stopped = await working("stopped")
    stopped.kill("SIGTERM")
    assert.strictEqual((await stopped.ended).status, 130)
    await nothingIsLeft("after a run that is stopped")

    const killed = await working("killed")
    killed.kill("SIGKILL")
    await killed.ended
    // Its agent and its PostgreSQL end by themselves. Its worktrees wait for the next run.
    await until(processes, (left) => left.length === 0)
    assert.deepStrictEqual([...socketsOf(data), ...locksIn(join(data, "postgres"))], [])
    assert.strictEqual((await run("next", "true").ended).status, 0)
    await nothingIsLeft("after a run that is killed, and the next one")
  })

  it("of a server and a daemon, of which each is killed, and then stopped", async () => {
    const startServer = (port = "0") => serve({ port, flags: ["--node", "one"], cwd: folder, env: database() })
    const server = await startServer()
    const client = clientOf(server, await newKey(database()))
    const [pidFile, go] = [join(folder, "work.agent"), join(folder, "go")]
    const script = `${waiting(pidFile).replace(/exec sleep 300$/, "")}until [ -e "${go}" ]; do sleep 0.05; done`
    const work = agent({ Work: script, complete: "true" })
    const daemon = () =>
      start(["daemon", "--agent", work, "--data-dir", join(folder, "worker"), "--heartbeat-seconds", "1"], {
        cwd: folder,
        env: client
      })
    const first = daemon()
    await first.says(/Connected to/)
    const id = await createDirective(client, "--repository-url", repository)
    await addSteps(client, id, step("Work"))
    await succeed(client, "directive", "start", id)
    await appears(pidFile)
    const agentPid = Number(readFileSync(pidFile, "utf8"))

    server.kill("SIGKILL")
    await server.ended
    await until(heldInDatabase, (held) => held.length === 0)
    assert.isTrue(isRunning(agentPid), "the agent outlives the server")
    const second = await startServer(portOf(server))

    first.kill("SIGKILL")
    await first.ended
    await until(() => processes().filter((line) => line.includes("sleep")), (left) => left.length === 0)
    rmSync(pidFile)

    const next = daemon()
    await until(() => existsSync(pidFile), (is) => is)
    // The worktree of before is gone, and this is the one of the task that has been handed over again.
    const worktrees = worktreesIn(join(folder, "worker")).filter((path) => path.startsWith("daemon/worktrees/"))
    assert.lengthOf(worktrees, 1)
    next.kill("SIGTERM")
    assert.strictEqual((await next.ended).status, 130)
    assert.deepStrictEqual(worktreesIn(folder), [])
    second.kill("SIGTERM")
    assert.strictEqual((await second.ended).status, 0)
    await nothingIsLeft("after a server and a daemon that were killed, and others that were stopped")
  })
})
