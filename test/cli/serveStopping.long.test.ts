/** How a server and a daemon are stopped, as processes, with everything in the way that may be. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { delimiter, join } from "node:path"
import { beforeAll } from "vitest"
import {
  agent,
  appears,
  jsonLines,
  makima,
  makimaHere,
  patience,
  processes,
  start,
  type Started,
  step,
  temporary,
  until
} from "../support/cli.ts"
import { postmasterOf } from "../support/postmaster.ts"
import { isRunning } from "../support/processes.ts"
import { git, repositoryIn } from "../support/repository.ts"
import { addSteps, clientOf, createDirective, newKey, serve, type Server, succeed } from "../support/servers.ts"

const stopMillisMax = 10_000

const folder = temporary()
beforeAll(() => {
  repositoryIn(folder)
})

interface OwnServer extends Server {
  readonly data: string
  readonly client: Record<string, string>
}

/** A server on a PostgreSQL of its own, and a client of it. */
const startServer = async (name: string): Promise<OwnServer> => {
  const data = join(folder, name)
  const server = await serve({ flags: ["--data-dir", data] })
  return { ...server, data, client: clientOf(server, await newKey({ MAKIMA_DATA_DIR: data })) }
}

/** Stops it, and wants it gone in time and well. */
const stops = async (server: Started, signal: NodeJS.Signals) => {
  const before = performance.now()
  server.kill(signal)
  const { status, stderr } = await server.ended
  assert.strictEqual(status, 0, stderr)
  assert.isBelow(performance.now() - before, stopMillisMax)
}

/** A request whose body never comes whole. */
const sendHalf = (url: string, key: string) =>
  new Promise<() => void>((resolve) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1", () => {
      const head = ["POST /api/v1/directives HTTP/1.1", "Host: x", `Authorization: Bearer ${key}`]
      const socketHead = [...head, "Content-Type: application/json", "Content-Length: 100", "", "{"].join("\r\n")
      socket.write(socketHead, () => resolve(() => socket.destroy()))
    })
    socket.on("error", () => {})
  })

/** The processes of the PostgreSQL in a data directory: the first is the parent of the others. */
const postgresOf = (data: string): ReadonlyArray<number> => {
  const postmaster = postmasterOf(data)!
  const children = spawnSync("ps", ["-o", "pid=", "--ppid", String(postmaster)], { encoding: "utf8" }).stdout
  return [postmaster, ...children.split("\n").map(Number).filter((pid) => pid > 0)]
}

describe("makima serve, when it is stopped", { timeout: patience }, () => {
  it("ends in time with clients that do not, tells daemons, and leaves agents running", async () => {
    const server = await startServer("clients")
    const pidFile = join(folder, "pid")
    const daemon = start([
      "daemon",
      "--agent",
      `echo $$ > "${pidFile}"; exec sleep 300`,
      "--data-dir",
      join(folder, "worker")
    ], { env: server.client })
    await daemon.says(/Connected to/)
    const id = await createDirective(server.client, "--start", "--repository-url", join(folder, "repository"))
    await until(() => existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n"), (is) => is)
    const headers = { authorization: `Bearer ${server.client["MAKIMA_API_KEY"]}` }
    // One that follows and reads, one that does not read, and one that does not write.
    const follow = await fetch(`${server.url}/api/v1/directives/${id}/events?follow=true`, { headers })
    const followed = follow.text().then(() => "ended", () => "broken")
    await fetch(`${server.url}/api/v1/directives/${id}/events?follow=true`, { headers })
    const giveUp = await sendHalf(server.url, server.client["MAKIMA_API_KEY"]!)
    const closed = new Promise<number>((resolve) => {
      const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws/daemon`)
      const hello = { type: "authenticate", apiKey: server.client["MAKIMA_API_KEY"], machineId: "m", hostname: "h" }
      socket.addEventListener("open", () => socket.send(JSON.stringify({ ...hello, maxConcurrentTasks: 0 })))
      socket.addEventListener("close", ({ code }) => resolve(code))
    })
    await until(
      async () => (await makimaHere(["daemons", "--json"], server.client)).stdout,
      (shown) => shown.includes("\"h\"")
    )

    await stops(server, "SIGTERM")
    giveUp()
    assert.strictEqual(await closed, 1001)
    assert.include(["ended", "broken"], await followed)
    const agentPid = Number(readFileSync(pidFile, "utf8"))
    assert.isTrue(isRunning(agentPid), "the agent runs on")
    await daemon.says(/No connection to/)
    daemon.kill("SIGTERM")
    assert.strictEqual((await daemon.ended).status, 130)
    assert.isFalse(isRunning(agentPid), "the agent is gone")
  })

  it("has every command in the log that it has answered", async () => {
    const server = await startServer("answered")
    const id = await createDirective(server.client)
    const acknowledged: Array<string> = []
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0;; i++) {
        const key = `${writer}-${i}`
        const answer = await fetch(`${server.url}/api/v1/directives/${id}/memories/${key}`, {
          method: "PUT",
          headers: {
            authorization: `Bearer ${server.client["MAKIMA_API_KEY"]}`,
            "content-type": "application/json"
          },
          body: JSON.stringify({ value: key })
        }).catch(() => undefined)
        if (answer === undefined) return
        if (answer.status === 200) acknowledged.push(key)
      }
    })
    await until(() => acknowledged.length, (length) => length >= 20)
    await stops(server, "SIGINT")
    await Promise.all(writers)
    const log = await makima(["log", id, "--type", "MemorySet", "--json", "--data-dir", server.data])
    const there = new Set(jsonLines(log.stdout).map(({ event }) => event.key))
    assert.deepStrictEqual(acknowledged.filter((key) => !there.has(key)), [])
  })

  it("ends in time also when PostgreSQL says nothing", async () => {
    const server = await startServer("silent")
    await createDirective(server.client, "--start")
    const frozen = postgresOf(server.data)
    for (const pid of frozen) process.kill(pid, "SIGSTOP")
    try {
      await stops(server, "SIGTERM")
    } finally {
      for (const pid of frozen) process.kill(pid, "SIGCONT")
    }
    // Whoever comes next joins the PostgreSQL that was left behind, and stops it.
    assert.strictEqual((await makima(["keys", "list", "--data-dir", server.data])).status, 0)
    await until(() => processes().filter((line) => line.includes(server.data)), (left) => left.length === 0)
  })
})

describe("makima daemon, when it is stopped", { timeout: patience }, () => {
  it("by Ctrl-C in its terminal while git is at work, reports the task interrupted and not failed", async () => {
    const server = await startServer("daemon")
    // A git that takes its time over the first thing that goes to the origin.
    const bin = join(folder, "bin")
    mkdirSync(bin)
    const real = spawnSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).stdout.trim()
    const busy = join(folder, "busy")
    writeFileSync(
      join(bin, "git"),
      `#!/bin/sh\ncase " $* " in *" fetch "*) touch "${busy}"; sleep 300;; esac\nexec "${real}" "$@"\n`
    )
    chmodSync(join(bin, "git"), 0o755)
    const daemon = start(["daemon", "--agent", agent({ Work: "true" }), "--data-dir", join(folder, "terminal")], {
      detached: true,
      env: { ...server.client, PATH: `${bin}${delimiter}${process.env["PATH"]}` }
    })
    await daemon.says(/Connected to/)
    const id = await createDirective(server.client, "--repository-url", join(folder, "repository"))
    await addSteps(server.client, id, step("Work"))
    await succeed(server.client, "directive", "start", id)
    await appears(busy)
    process.kill(-daemon.pid, "SIGINT")
    assert.strictEqual((await daemon.ended).status, 130)
    const log = await makima(["log", id, "--json", "--data-dir", server.data])
    const ends = jsonLines(log.stdout).flatMap(({ type }) =>
      /^Task(Failed|Interrupted|Completed)$/.test(type) ? [type] : []
    )
    assert.deepStrictEqual(ends, ["TaskInterrupted"])
    assert.isFalse(processes().some((line) => line.includes("sleep 300")), "git is gone")
    assert.strictEqual(git(join(folder, "repository"), "worktree", "list").split("\n").length, 1)
    await stops(server, "SIGTERM")
  })
})
