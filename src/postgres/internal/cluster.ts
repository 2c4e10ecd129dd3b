/** The data directory: finds it, or makes it in one step, so that nobody ever sees half of it. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import {
  chownSync,
  existsSync,
  mkdtempSync,
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

/** A data directory, the programs for it, and the account that owns it, where that is not us. */
export interface Cluster {
  readonly data: string
  readonly native: string
  readonly account: Account | undefined
}

export const superuser = "makima"
const majorVersion = "18"

export const findOrCreate = Effect.fnUntraced(function*(directory: string) {
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
  yield* create(directory)
  return yield* find(directory)
})

const find = Effect.fnUntraced(function*(directory: string) {
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

/** Makes the data beside its place and moves it there. Whoever comes second throws its own away. */
const create = Effect.fnUntraced(function*(directory: string) {
  const account = yield* attempt(directory, "cannot be run", () => isRoot() ? accountForRoot() : undefined)
  const native = yield* findBinaries(directory, account)
  const parent = dirname(directory)
  const elsewhere = yield* attempt(directory, "cannot be made", () => !canEnter(parent, account))
  yield* Effect.acquireUseRelease(
    attempt(directory, "cannot be made", () => {
      const fresh = mkdtempSync(elsewhere ? join(sharedFolder(account), "data-") : `${directory}.new-`)
      if (account !== undefined) chownSync(fresh, account.uid, account.gid)
      return fresh
    }),
    (fresh) =>
      Effect.andThen(
        initialize(directory, { data: fresh, native, account }),
        attempt(directory, "cannot be put in its place", () => moveIntoPlace(fresh, directory, elsewhere))
      ),
    (fresh) =>
      Effect.sync(() => {
        const inPlace = existsSync(directory) && realpathSync(directory) === fresh
        if (!inPlace) rmSync(fresh, { recursive: true, force: true })
      })
  )
})

const moveIntoPlace = (fresh: string, directory: string, elsewhere: boolean): void => {
  try {
    if (elsewhere) {
      if (existsSync(directory)) rmdirSync(directory)
      symlinkSync(fresh, directory)
    } else {
      renameSync(fresh, directory)
    }
  } catch (cause) {
    if (!existsSync(join(directory, "PG_VERSION"))) throw cause
  }
}

/**
 * Runs initdb. It does not wait for the disk, which would double the time of a first start: whoever loses power within
 * the first half minute starts anew.
 */
const initialize = (directory: string, { account, data, native }: Cluster) =>
  Effect.callback<void, BundledPostgresError>((resume) => {
    const fail = (cause: string) =>
      resume(
        new BundledPostgresError({ directory, problem: `cannot be made: ${cause}`, advice: `Mend that. ${useAnother}` })
      )
    const options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions", "--no-sync"]
    const child = spawn(join(native, "bin", "initdb"), ["-D", data, "-U", superuser, ...options], {
      ...account,
      cwd: "/",
      env: { LC_ALL: "C", PATH: process.env["PATH"] },
      detached: true,
      stdio: ["ignore", "ignore", "pipe"]
    })
    let complaint = ""
    child.stderr.setEncoding("utf8").on("data", (chunk) => complaint += chunk)
    child.once("error", (error) => fail(error.message))
    child.once("close", (code) => code === 0 ? resume(Effect.void) : fail(complaint.trim()))
    // It has children of its own: all of its group goes.
    return Effect.callback<void>((stopped) => {
      child.removeAllListeners("close").once("close", () => stopped(Effect.void))
      if (child.pid === undefined || child.exitCode !== null) stopped(Effect.void)
      else process.kill(-child.pid, "SIGKILL")
    })
  })
