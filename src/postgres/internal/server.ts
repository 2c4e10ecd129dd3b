/** One server process: where its socket is, starting it, and stopping it. Who may do so is not decided here. */
import { Effect } from "effect"
import type { ChildProcess } from "node:child_process"
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
import { type Guard, spawnAnnounced } from "./guard.ts"

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
  const [pid, , , , socketDirectory] = readIfThere(join(data, "postmaster.pid")).split("\n")
  // It is there before anything is in it.
  return pid === undefined || pid === "" ? undefined : { pid: Number(pid), socketDirectory }
}

/** Files of others come and go between any two looks. */
const readIfThere = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ESRCH")) return ""
    throw cause
  }
}

/** Of the running server, or of one that was killed. */
export const processId = (data: string): number | undefined => readPidFile(data)?.pid

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

export const start = (cluster: Cluster, socketDirectory: string, guard: Guard): Child => {
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
    const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const command = [join(native, "bin", "postgres"), "-D", data, "-p", `${port}`, ...options]
    const child = spawnAnnounced(command, guard, account, ["ignore", log, log])
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
  // It takes its pid file away at its very end, after it has written everything.
  const hasStopped = until(() => readPidFile(cluster.data)?.pid !== running.pid)
  signal(running.pid, "SIGINT")
  yield* Effect.timeoutOrElse(hasStopped, {
    duration: stopMillisMax,
    // One of its processes does not listen. The next start makes up for what this one does not write.
    orElse: () => {
      signal(running.pid, "SIGQUIT")
      return hasStopped
    }
  })
  // A moment later its process is gone too.
  yield* Effect.timeoutOption(until(() => !isAlive(running.pid)), "500 millis")
  yield* Effect.sync(() => {
    if (running.socketDirectory !== undefined) removeIfEmpty(running.socketDirectory)
  })
})

const stopMillisMax = 10_000

const pollMillis = 10
export const pause = Effect.sleep(pollMillis)

export const until = Effect.fnUntraced(function*(condition: () => boolean) {
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

/** Whether it runs: what has ended stays for as long as its parent does not notice, in some containers for ever. */
export const isAlive = (pid: number | undefined): boolean => pid !== undefined && signal(pid, 0) && !isZombie(pid)

/** Only Linux says so, and only there it may be for long. */
const isZombie = (pid: number): boolean => /^State:\s+Z/m.test(readIfThere(`/proc/${pid}/status`))

/** Of a socket's directory, when its server is gone. */
export const removeIfEmpty = (directory: string): void => {
  try {
    rmdirSync(directory)
  } catch {
    // Somebody starts the next server in it at this moment.
  }
}
