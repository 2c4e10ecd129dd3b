/** What runs of makima may leave behind in folders, and must not: worktrees, lock files, sockets. */
import { createHash } from "node:crypto"
import { existsSync, readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

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
