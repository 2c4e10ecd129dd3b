/** One server process: where its socket is, starting it, and stopping it. Who may do so is not decided here. */
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import {
  chmodSync,
  closeSync,
  existsSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { canEnter } from "./account.ts"
import type { Cluster } from "./cluster.ts"

/** A server that this process started. Its log before `logStart` is from others. */
export interface Child {
  readonly process: ChildProcess
  readonly logStart: number
  /** Why there is no process at all. */
  readonly failure: () => Error | undefined
}

/** Of the socket's name; there is no TCP. */
export const port = 5432
/** The length of a socket's whole path is limited: 104 bytes on macOS, 108 on Linux, with a zero at the end. */
const socketDirectoryBytesMax = 103 - `/.s.PGSQL.${port}`.length

export const logFile = (data: string): string => join(data, "server.log")

/** What the running server wrote about itself: its process id and the directory of its socket. */
const readPidFile = (data: string) => {
  const file = join(data, "postmaster.pid")
  if (!existsSync(file)) return undefined
  const [pid, , , , socketDirectory] = readFileSync(file, "utf8").split("\n")
  return { pid: Number(pid), socketDirectory }
}

/** The same for every process that uses the same data, whatever their TMPDIR, as long as a server runs. */
export const socketDirectory = ({ account, data }: Cluster): string => {
  const running = readPidFile(data)?.socketDirectory
  if (running !== undefined && running !== "") return running
  const name = `makima-${createHash("sha256").update(data).digest("hex").slice(0, 16)}`
  const usual = join(tmpdir(), name)
  return usual.length <= socketDirectoryBytesMax && canEnter(tmpdir(), account) ? usual : join("/tmp", name)
}

/** Whoever can enter this directory is trusted, so nobody but the server's account may. */
const makeSocketDirectory = (directory: string, { account }: Cluster): void => {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const { uid } = lstatSync(directory)
  const owner = account?.uid ?? process.getuid?.()
  if (!lstatSync(directory).isDirectory() || (uid !== owner && uid !== process.getuid?.())) {
    throw new Error(`${directory} belongs to somebody else`)
  }
  if (account !== undefined) lchownSync(directory, account.uid, account.gid)
  chmodSync(directory, 0o700)
}

export const start = (cluster: Cluster, socketDirectory: string): Child => {
  const { account, data, native } = cluster
  makeSocketDirectory(socketDirectory, cluster)
  const log = openSync(logFile(data), "a", 0o600)
  try {
    if (account !== undefined) fchownSync(log, account.uid, account.gid)
    const logStart = fstatSync(log).size
    const settings = {
      listen_addresses: "",
      unix_socket_directories: socketDirectory,
      unix_socket_permissions: "0700",
      max_connections: "200",
      log_checkpoints: "off"
    }
    const child = spawn(
      join(native, "bin", "postgres"),
      ["-D", data, "-p", `${port}`, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
      {
        ...account,
        cwd: "/",
        env: { LC_ALL: "C", PATH: process.env["PATH"] },
        // A group of its own: Ctrl-C in a terminal is for us, and we stop it when all its users are done.
        detached: true,
        stdio: ["ignore", log, log]
      }
    )
    let failure: Error | undefined
    child.on("error", (error) => failure = error)
    child.unref()
    return { process: child, logStart, failure: () => failure }
  } finally {
    closeSync(log)
  }
}

export const isRunning = ({ process }: Child): boolean =>
  process.pid !== undefined && process.exitCode === null && process.signalCode === null

/** Whether the child ended for a reason of its own, and not because another server has the data or had it just now. */
export const hasFailed = (child: Child, data: string): boolean =>
  !isRunning(child) && child.process.exitCode !== 0 && child.process.signalCode === null &&
  !/lock file|shared memory block/.test(logTail(data, child.logStart))

/** What the server wrote since `from`, at most the last lines of it. */
export const logTail = (data: string, from = 0): string =>
  existsSync(logFile(data))
    ? readFileSync(logFile(data)).subarray(from).toString("utf8").trim().split("\n").slice(-8).join("\n")
    : ""

/** Tells the server to stop without waiting for its clients, and waits until it has. */
export const stop = Effect.fnUntraced(function*(cluster: Cluster) {
  const running = readPidFile(cluster.data)
  if (running === undefined) return
  signal(running.pid, "SIGINT")
  // It takes its pid file away at its very end, after it has written everything.
  yield* until(() => readPidFile(cluster.data)?.pid !== running.pid)
  // A moment later its process is gone too; it may stay for longer where nobody reaps orphans.
  yield* Effect.timeoutOption(until(() => !signal(running.pid, 0)), "500 millis")
  yield* Effect.sync(() => {
    if (running.socketDirectory !== undefined) removeIfEmpty(running.socketDirectory)
  })
})

/** Stops a server that nobody can have joined, because it has not said that it is ready. */
export const abort = Effect.fnUntraced(function*(child: Child) {
  if (child.process.pid === undefined) return
  signal(child.process.pid, "SIGINT")
  yield* until(() => !isRunning(child))
})

const pollMillis = 10
export const pause = Effect.sleep(pollMillis)

const until = Effect.fnUntraced(function*(condition: () => boolean) {
  while (!condition()) yield* pause
})

/** Says whether there is such a process. */
const signal = (pid: number, name: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

/** Of a socket's directory, when its server is gone. */
export const removeIfEmpty = (directory: string): void => {
  try {
    rmdirSync(directory)
  } catch {
    // Somebody starts the next server in it at this moment.
  }
}
