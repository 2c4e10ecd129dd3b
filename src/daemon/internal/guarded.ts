/**
 * Commands that do not outlive this process, whichever way it ends, and that no Ctrl-C in its terminal reaches.
 *
 * Each is the leader of a process group of its own, in a session of its own. Beside it in the group is a guard: a shell
 * that waits for the end of a pipe whose other end this process holds. However this process ends, SIGKILL included, the
 * pipe ends with it, and the guard takes the group along. The command takes the place of the outer shell, so its exit
 * status, its standard input and its children are its own.
 *
 * A process can leave its group, as `setsid` does. On Linux it can still be told by a mark in the environment that it
 * started with, which /proc shows; commands that are given a mark are followed there too. Nothing follows those that were
 * started with an environment of their own, or as another user; and elsewhere than on Linux, none that leave the group.
 */
import { Effect } from "effect"
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process"
import { readdir, readFile } from "node:fs/promises"

const markName = "MAKIMA_MARK"

/** How often marked processes are looked for: those that were found may have started others meanwhile. */
const roundsMax = 20

const script = `
{
  trap '' HUP INT TERM
  read -r line
  round=0
  while [ -n "$1" ] && [ $round -lt ${roundsMax} ]; do
    found=$(grep -las "$1" /proc/[0-9]*/environ)
    [ -n "$found" ] || break
    for file in $found; do file=\${file%/environ}; kill -s KILL "\${file#/proc/}"; done
    round=$((round + 1))
  done
  kill -s KILL 0
} <&3 >/dev/null 2>&1 &
[ -z "$1" ] || export "$1"
shift
exec "$@" 3<&-
`

export interface Options {
  readonly cwd: string
  /** All of its environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdio: readonly [stdin: number | "ignore" | "pipe", stdout: number | "pipe", stderr: number | "pipe"]
  /** Tells its processes from all others, so that those are found that leave the group. */
  readonly mark?: string
}

export interface Guarded {
  readonly child: ChildProcess
  /** Of the whole group. Without effect when nobody is left in it. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** Ends whatever is left when the command itself has ended, wherever it has gone. */
  readonly clear: Effect.Effect<void>
}

export const spawnGuarded = (command: ReadonlyArray<string>, { cwd, env, mark, stdio }: Options): Guarded => {
  const marking = mark === undefined ? "" : `${markName}=${mark}`
  const child = spawn("/bin/sh", ["-c", script, "makima-guard", marking, ...command], {
    cwd,
    env,
    detached: true,
    stdio: [...stdio, "pipe"] satisfies StdioOptions
  })
  const pipe = child.stdio[3]
  pipe?.on("error", () => {})
  const signal = (signal: NodeJS.Signals) => {
    try {
      // The guard stays in the group until the pipe ends, so until then the group's id is its own.
      if (child.pid !== undefined && pipe?.destroyed === false) process.kill(-child.pid, signal)
    } catch {
      // Nobody is left in the group.
    }
  }
  return {
    child,
    signal,
    clear: Effect.suspend(() => {
      signal("SIGKILL")
      pipe?.destroy()
      return marking === "" || process.platform !== "linux" ? Effect.void : Effect.promise(() => killMarked(marking))
    })
  }
}

const killMarked = async (marking: string): Promise<void> => {
  for (let round = 0; round < roundsMax; round++) {
    const found = await marked(marking)
    if (found.length === 0) return
    for (const pid of found) {
      try {
        process.kill(pid, "SIGKILL")
      } catch {
        // It has ended by itself.
      }
    }
  }
}

const marked = async (marking: string): Promise<ReadonlyArray<number>> => {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(pids.map(async (pid) => {
    // Those of other users cannot be read, and those that have ended since have nothing to read.
    const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "")
    return environment.split("\0").includes(marking) ? [Number(pid)] : []
  }))
  return found.flat()
}
