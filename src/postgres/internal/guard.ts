/**
 * What a process that uses the server leaves behind when it is killed: a shell that waits for the end of a pipe whose
 * other end this process holds. However this process ends, SIGKILL included, the pipe ends with it, and the shell becomes
 * `afterKill.ts`, which stops the server if nobody else uses it.
 *
 * It has a session and an environment of its own, so whoever takes this process along, a terminal or the guard of an
 * agent that started it, does not take it as well.
 */
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { extname } from "node:path"
import { fileURLToPath } from "node:url"
import type { Account } from "./account.ts"

export interface Guard {
  /** Tells our sessions from those of others. */
  readonly key: number
  /** Its pipe's end. None while there is no guard. */
  readonly pipe: () => ChildProcess["stdin"]
  /** Whether a server may be running that only we know of: then the guard goes on when we end, and otherwise it ends. */
  isNeeded: boolean
}

/** Each line that it is told, the id of a process, is one more argument. */
const script = `
trap '' HUP INT TERM
while read -r line; do set -- "$@" "$line"; done
exec "$@"
`

const afterKill = fileURLToPath(new URL(`afterKill${extname(import.meta.url)}`, import.meta.url))

/** A guard for as long as the scope is open, and a new one whenever it is killed. */
export const keepGuard = Effect.fnUntraced(function*(directory: string) {
  const key = randomInt(2 ** 31)
  const spawnOne = () => {
    const { HOME, PATH, TMPDIR } = process.env
    const command = [process.execPath, afterKill, directory, `${key}`]
    const child: ChildProcess = spawn("/bin/sh", ["-c", script, "makima-guard", ...command], {
      cwd: "/",
      env: { HOME, PATH, TMPDIR },
      detached: true,
      stdio: ["pipe", "ignore", "ignore"]
    })
    child.unref()
    // Where no process can be started there is no guard, and the server waits for its next user.
    child.on("error", () => {})
    child.stdin?.on("error", () => {})
    return child
  }
  let child = spawnOne()
  const guard: Guard = { key, pipe: () => child.stdin?.destroyed === false ? child.stdin : null, isNeeded: false }
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      if (guard.isNeeded) {
        child.stdin?.end()
        return Effect.void
      }
      child.kill("SIGKILL")
      child.ref()
      return ended(child)
    })
  )
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    yield* ended(child)
    yield* Effect.sleep(renewMillis)
    child = spawnOne()
  })))
  return guard
})

/** One that cannot be kept alive is no reason to be busy. */
const renewMillis = 1000

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const onExit = () => resume(Effect.void)
    child.once("exit", onExit)
    return Effect.sync(() => child.off("exit", onExit))
  })

/**
 * Starts one of PostgreSQL's programs. The guard has its process id before the program is there, so it knows of it even if
 * we are killed at this moment.
 */
export const spawnAnnounced = (
  command: ReadonlyArray<string>,
  guard: Guard,
  account: Account | undefined,
  stdio: readonly [stdin: "ignore", stdout: number | "ignore", stderr: number | "pipe"]
): ChildProcess =>
  spawn("/bin/sh", ["-c", `echo "$$" >&3; exec "$@" 3>&-`, "makima-postgres", ...command], {
    ...account,
    cwd: "/",
    env: { LC_ALL: "C", PATH: process.env["PATH"] },
    // A group of its own: Ctrl-C in a terminal is for us, and we stop it when all its users are done.
    detached: true,
    stdio: [...stdio, guard.pipe() ?? "ignore"]
  })
