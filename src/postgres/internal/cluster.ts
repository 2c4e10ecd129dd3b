/** The data directory: finds it, or makes it in one step, so that nobody ever sees half of it. */
import { Effect } from "effect"
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync
} from "node:fs"
import { dirname, join } from "node:path"
import { attempt, BundledPostgresError, useAnother } from "../BundledPostgresError.ts"
import { makeFolders } from "../Folders.ts"
import { type Account, accountForRoot, canEnter, isRoot, sharedFolder } from "./account.ts"
import { findBinaries } from "./binaries.ts"
import { type Guard, spawnAnnounced } from "./guard.ts"

/** A data directory, the programs for it, and the account that owns it, where that is not us. */
export interface Cluster {
  readonly data: string
  readonly native: string
  readonly account: Account | undefined
}

export const superuser = "makima"
const majorVersion = "18"

export const findOrCreate = Effect.fnUntraced(function*(directory: string, guard: Guard) {
  yield* attempt(directory, "cannot be made", () => makeFolders(dirname(directory)))
  if (existsSync(join(directory, "PG_VERSION"))) return yield* find(directory)
  const entries = yield* attempt(
    directory,
    "cannot be read",
    () => existsSync(directory) ? readdirSync(directory) : []
  )
  if (entries.length > 0) {
    return yield* new BundledPostgresError({
      directory,
      problem: "is no PostgreSQL data directory, and not empty",
      advice: `Choose another data directory, or move away what is in this one. ${useAnother}`
    })
  }
  yield* create(directory, guard)
  return yield* find(directory)
})

/** The data that is there. */
export const find = Effect.fnUntraced(function*(directory: string) {
  const { data, owner, version } = yield* attempt(directory, "cannot be read", () => {
    const data = realpathSync(directory)
    return { data, owner: statSync(data), version: readFileSync(join(data, "PG_VERSION"), "utf8").trim() }
  })
  if (version !== majorVersion) {
    return yield* new BundledPostgresError({
      directory,
      problem: `was made by PostgreSQL ${version}, and this is ${majorVersion}`,
      advice: `Use the version of makima that made it, or another data directory. ${useAnother}`
    })
  }
  // A directory from a time without root keeps its owner.
  const account = isRoot() ? { uid: owner.uid, gid: owner.gid } : undefined
  if (owner.uid === 0 || (account === undefined && owner.uid !== process.getuid?.())) {
    return yield* new BundledPostgresError({
      directory,
      problem: `belongs to uid ${owner.uid}`,
      advice: owner.uid === 0
        ? `PostgreSQL refuses to run as root: give it to another user with chown -R. ${useAnother}`
        : `Run as that user, or choose another data directory. ${useAnother}`
    })
  }
  return { data, native: yield* findBinaries(directory, account), account } satisfies Cluster
})

/** Where data are made, by whoever has this key, and where they are kept. */
const placesFor = (directory: string, account: Account | undefined, key: number) => {
  if (canEnter(dirname(directory), account)) return { fresh: `${directory}.new-${key}`, kept: directory }
  const kept = join(sharedFolder(account), `data-${key}`)
  return { fresh: `${kept}.new`, kept }
}

/** Makes the data beside its place and moves it there. Whoever comes second throws its own away. */
const create = Effect.fnUntraced(function*(directory: string, guard: Guard) {
  const account = yield* attempt(directory, "cannot be run", () => isRoot() ? accountForRoot() : undefined)
  const native = yield* findBinaries(directory, account)
  const { fresh, kept } = yield* attempt(directory, "cannot be made", () => placesFor(directory, account, guard.key))
  yield* Effect.acquireUseRelease(
    attempt(directory, "cannot be made", () => {
      mkdirSync(fresh, { mode: 0o700 })
      guard.isNeeded = true
      if (account !== undefined) chownSync(fresh, account.uid, account.gid)
    }),
    () =>
      Effect.andThen(
        initialize(directory, { data: fresh, native, account }, guard),
        attempt(directory, "cannot be put in its place", () => moveIntoPlace(fresh, kept, directory))
      ),
    () =>
      Effect.sync(() => {
        rmSync(fresh, { recursive: true, force: true })
        guard.isNeeded = false
      })
  )
})

/** What somebody who was killed had not finished making, if there is such a thing. */
export const unfinished = (directory: string, key: number): string | undefined => {
  const { fresh } = placesFor(directory, isRoot() ? accountForRoot() : undefined, key)
  return existsSync(fresh) ? fresh : undefined
}

const moveIntoPlace = (fresh: string, kept: string, directory: string): void => {
  try {
    renameSync(fresh, kept)
    if (kept === directory) return
    if (existsSync(directory)) rmdirSync(directory)
    symlinkSync(kept, directory)
  } catch (cause) {
    if (kept !== directory) rmSync(kept, { recursive: true, force: true })
    if (!existsSync(join(directory, "PG_VERSION"))) throw cause
  }
}

/**
 * Runs initdb. It does not wait for the disk, which would double the time of a first start: whoever loses power within
 * the first half minute starts anew.
 */
const initialize = (directory: string, { account, data, native }: Cluster, guard: Guard) =>
  Effect.callback<void, BundledPostgresError>((resume) => {
    const fail = (cause: string) =>
      resume(
        new BundledPostgresError({ directory, problem: `cannot be made: ${cause}`, advice: `Mend that. ${useAnother}` })
      )
    const options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions", "--no-sync"]
    const command = [join(native, "bin", "initdb"), "-D", data, "-U", superuser, ...options]
    const child = spawnAnnounced(command, guard, account, ["ignore", "ignore", "pipe"])
    let complaint = ""
    child.stderr?.setEncoding("utf8").on("data", (chunk) => complaint += chunk)
    child.once("error", (error) => fail(error.message))
    child.once("close", (code) => code === 0 ? resume(Effect.void) : fail(complaint.trim()))
    // It has children of its own: all of its group goes.
    return Effect.callback<void>((stopped) => {
      child.removeAllListeners("close").once("close", () => stopped(Effect.void))
      if (child.pid === undefined || child.exitCode !== null) stopped(Effect.void)
      else process.kill(-child.pid, "SIGKILL")
    })
  })
