/** Processes of the machine, seen from outside. */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"

/** Whether a process runs; one that is dead and waits for its parent does not. */
export const isRunning = (pid: number): boolean => {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim()
  return state !== "" && !state.startsWith("Z")
}

/**
 * Processes that have a mark in their environment, `NAME=value`, or one of the folders in their command line, as
 * PostgreSQL has its data directory. Those that are dead and wait for their parents do not count.
 *
 * Linux shows environments in /proc. Elsewhere it is `ps` that has to, which shows those of one's own processes.
 */
export const processesOf = (mark: string, ...folders: ReadonlyArray<string>): ReadonlyArray<string> =>
  process.platform === "linux" ? inProc(mark, folders) : inPs(mark, folders)

const inProc = (mark: string, folders: ReadonlyArray<string>): ReadonlyArray<string> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    const read = (name: string) => {
      try {
        return readFileSync(`/proc/${pid}/${name}`, "latin1")
      } catch {
        return ""
      }
    }
    const commandLine = read("cmdline").replaceAll("\0", " ").trim()
    const isOurs = folders.some((folder) => commandLine.includes(folder)) || read("environ").split("\0").includes(mark)
    const isDead = /^State:\s+Z/m.test(read("status"))
    return isOurs && !isDead ? [`${pid} ${commandLine}`] : []
  })

const inPs = (mark: string, folders: ReadonlyArray<string>): ReadonlyArray<string> =>
  spawnSync("ps", ["axeww", "-o", "pid=,stat=,command="], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 })
    .stdout.split("\n")
    .filter((line) =>
      (line.includes(mark) || folders.some((folder) => line.includes(folder))) && !/^\s*\d+\s+Z/.test(line)
    )
