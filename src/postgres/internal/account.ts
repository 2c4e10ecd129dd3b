/**
 * As whom PostgreSQL runs, and where that account can go.
 *
 * PostgreSQL refuses to run as root. Everybody else runs it as themselves, and none of this concerns them.
 */
import { mkdirSync, readFileSync, realpathSync, statSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { dirname, join } from "node:path"

export interface Account {
  readonly uid: number
  readonly gid: number
}

export const isRoot = (): boolean => process.getuid?.() === 0

/** The account for data that root makes: `postgres`, or `nobody` where there is none. */
export const accountForRoot = (): Account => {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"))
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = lines.find((fields) => fields[0] === name) ?? []
    // macOS writes nobody's ids as -2.
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }
  }
  throw new Error("/etc/passwd has neither a user postgres nor a user nobody, and PostgreSQL refuses to run as root")
}

/** Whether the account may do what `bits` says (4 reads, 1 enters) with the file or folder. */
const permits = (path: string, account: Account, bits: number): boolean => {
  const { gid, mode, uid } = statSync(path)
  const granted = uid === account.uid ? mode >> 6 : gid === account.gid ? mode >> 3 : mode
  return (granted & bits) === bits
}

/** Whether the account can enter the folder and all that are above it. Without an account it is us, and we can. */
export const canEnter = (folder: string, account: Account | undefined): boolean => {
  if (account === undefined) return true
  for (let path = realpathSync(folder);; path = dirname(path)) {
    if (!permits(path, account, 1)) return false
    if (path === dirname(path)) return true
  }
}

export const canRead = (file: string, account: Account | undefined): boolean =>
  account === undefined || (canEnter(dirname(file), account) && permits(file, account, 4))

/** A folder of ours, outside the checkout and the data directory, that the account can enter. */
export const sharedFolder = (account: Account | undefined): string => {
  const uid = process.getuid?.()
  const folders = [isRoot() ? "/var/lib/makima" : join(homedir(), ".cache", "makima"), join(tmpdir(), `makima-${uid}`)]
  const reasons: Array<string> = []
  for (const folder of folders) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o755 })
      const { mode, uid: owner } = statSync(folder)
      // Programs are started from here: nobody else may put any there.
      if (owner !== uid || (mode & 0o022) !== 0) reasons.push(`${folder} can be written by others`)
      else if (!canEnter(folder, account)) reasons.push(`${folder} cannot be entered by uid ${account?.uid}`)
      else return folder
    } catch (cause) {
      reasons.push(String(cause))
    }
  }
  throw new Error(reasons.join("; "))
}
