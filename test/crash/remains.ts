/** What runs of makima may leave behind, and must not: processes, worktrees, lock files, sockets. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/**
 * Processes that have a mark in their environment, `NAME=value`, or a folder in their command line, as PostgreSQL has
 * its data directory. Those that are dead and wait for their parents do not count.
 *
 * Linux shows environments in /proc. Elsewhere it is `ps` that has to, which shows those of one's own processes.
 */
export const processesOf = (mark: string, folder: string): ReadonlyArray<string> =>
  process.platform === "linux" ? inProc(mark, folder) : inPs(mark, folder)

const inProc = (mark: string, folder: string): ReadonlyArray<string> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    const read = (name: string) => {
      try {
        return readFileSync(`/proc/${pid}/${name}`, "latin1")
      } catch {
        return ""
      }
    }
    const commandLine = read("cmdline").replaceAll("\0", " ").trim()
    const isOurs = commandLine.includes(folder) || read("environ").split("\0").includes(mark)
    const isDead = /^State:\s+Z/m.test(read("status"))
    return isOurs && !isDead ? [`${pid} ${commandLine}`] : []
  })

const inPs = (mark: string, folder: string): ReadonlyArray<string> =>
  spawnSync("ps", ["axeww", "-o", "pid=,stat=,command="], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 })
    .stdout.split("\n")
    .filter((line) => (line.includes(mark) || line.includes(folder)) && !/^\s*\d+\s+Z/.test(line))

const filesIn = (folder: string, pattern: RegExp): ReadonlyArray<string> =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => pattern.test(path))
    : []

/** Worktrees of daemons, what git knows of them, and folders of runs. */
export const worktreesIn = (folder: string): ReadonlyArray<string> =>
  filesIn(folder, /(^|\/)(worktrees|runs)\/[^/.][^/]*$/).filter((path) => !path.includes(".git/"))

/** Files that hold something back from whoever comes next. */
export const locksIn = (folder: string): ReadonlyArray<string> => filesIn(folder, /\.lock$|\.pid$/)

/** The directory of the socket of the bundled PostgreSQL in a data directory. */
export const socketsOf = (dataDirectory: string): ReadonlyArray<string> => {
  const data = join(dataDirectory, "postgres")
  const name = `makima-${createHash("sha256").update(data).digest("hex").slice(0, 16)}`
  return [join(tmpdir(), name), join("/tmp", name)].filter((path) => existsSync(path))
}
