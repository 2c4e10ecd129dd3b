/**
 * The daemon's own copy of each repository that its tasks work on: a bare clone under the work directory.
 *
 * Worktrees hang on the copy, so the user's repository and its list of worktrees stay as they are. Making worktrees is
 * `Worktrees.ts`.
 */
import { Context, Effect, FileSystem, Layer, Path, Schedule, Schema, Semaphore } from "effect"
import { ChildProcessSpawner } from "effect/process"
import { createHash } from "node:crypto"
import { commitOf, git, GitFailed, gitLines } from "./internal/git.ts"

export class RepositoryUnavailable extends Schema.TaggedError<RepositoryUnavailable>()("RepositoryUnavailable", {
  repository: Schema.String,
  line: Schema.String
}) {
  override get message(): string {
    return `The repository ${this.repository} cannot be read: ${this.line}`
  }
}

export class RepositoryEmpty extends Schema.TaggedError<RepositoryEmpty>()("RepositoryEmpty", {
  repository: Schema.String
}) {
  override get message(): string {
    return `The repository ${this.repository} is empty: it needs a first commit to start from`
  }
}

export class BaseBranchMissing extends Schema.TaggedError<BaseBranchMissing>()("BaseBranchMissing", {
  repository: Schema.String,
  branch: Schema.String
}) {
  override get message(): string {
    return `The repository ${this.repository} has no branch ${JSON.stringify(this.branch)} to start from`
  }
}

/** The copy of one repository. Its `origin` is where branches are fetched from and pushed to. */
export interface Repository {
  readonly name: string
  readonly gitDir: string
  /** Runs alone among all that changes this copy's refs and worktrees. Not reentrant. */
  readonly exclusively: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Brings `refs/remotes/origin/*` up to date. */
  readonly fetch: Effect.Effect<void, RepositoryUnavailable>
  /** The commit that a base branch is at, after a fetch. */
  readonly baseCommit: (
    branch: string
  ) => Effect.Effect<string, BaseBranchMissing | RepositoryEmpty | RepositoryUnavailable>
}

/** Git's own rule: what has a scheme, or a colon before the first slash, is an address; everything else is a path. */
const isAddress = (repoUrl: string): boolean => /^[^/]*:/.test(repoUrl)

const withoutPassword = (address: string): string => address.replace(/:\/\/[^/@\s]*@/, "://")

/** The daemon fetches while agents fetch and push, and then loses a race for a ref's lock now and then. */
const fetchRetries = { schedule: Schedule.exponential("100 millis"), times: 2 }

export class Repositories extends Context.Service<Repositories, {
  /** The copy of a repository, made when there is none yet. Nothing is fetched. */
  open(repoUrl: string): Effect.Effect<Repository, RepositoryUnavailable>
}>()("makima-runtime/daemon/Repositories") {
  static readonly layer = (workDir: string) =>
    Layer.effect(
      Repositories,
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
        const directory = path.resolve(workDir, "repositories")
        const locks = new Map<string, Semaphore.Semaphore>()

        const lockOf = (gitDir: string) => {
          const lock = locks.get(gitDir) ?? Semaphore.makeUnsafe(1)
          locks.set(gitDir, lock)
          return lock
        }

        /** A path with an `origin` of its own is where work starts; that origin is where work goes. */
        const locate = Effect.fnUntraced(function*(repoUrl: string) {
          if (isAddress(repoUrl)) return { source: repoUrl, origin: repoUrl }
          const source = yield* fs.realPath(repoUrl).pipe(
            Effect.mapError(() => new GitFailed({ command: "fetch", line: "there is no such directory" }))
          )
          yield* git(source, ["rev-parse", "--git-dir"])
          const [url] = yield* gitLines(source, ["remote", "get-url", "origin"]).pipe(Effect.orElseSucceed(() => []))
          if (url === undefined) return { source, origin: source }
          return { source, origin: isAddress(url) ? url : path.resolve(source, url) }
        })

        const initialise = Effect.fnUntraced(function*(gitDir: string, origin: string) {
          yield* fs.makeDirectory(gitDir, { recursive: true })
          // Where there is one already this changes nothing. No branch that anybody uses is its own HEAD.
          yield* git(gitDir, ["init", "--quiet", "--bare", "--template=", "--initial-branch=makima-copy"])
          const set = (key: string, value: string) => git(gitDir, ["config", key, value])
          yield* set("remote.origin.url", origin)
          yield* set("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
          // A collection in the background would outlive the command that began it.
          yield* set("gc.autoDetach", "false")
          for (const [key, value] of [["user.name", "makima"], ["user.email", "makima@localhost"]] as const) {
            const known = yield* git(gitDir, ["config", "--get", key]).pipe(Effect.orElseSucceed(() => ""))
            if (known.trim() === "") yield* set(key, value)
          }
        })

        const open = Effect.fn("Repositories.open")(function*(repoUrl: string) {
          const name = withoutPassword(repoUrl)
          const unavailable = (error: { readonly message: string }) =>
            new RepositoryUnavailable({
              repository: name,
              line: error instanceof GitFailed ? error.line : error.message
            })
          const { origin, source } = yield* Effect.mapError(locate(repoUrl), unavailable)
          const hash = createHash("sha256").update(source).digest("hex").slice(0, 16)
          const gitDir = path.join(directory, hash)
          const exclusively = lockOf(gitDir).withPermits(1)
          yield* exclusively(initialise(gitDir, origin)).pipe(Effect.mapError(unavailable))

          const run = (args: ReadonlyArray<string>) => git(gitDir, args).pipe(Effect.mapError(unavailable))

          const fetch = run(["fetch", "--quiet", "--prune", "--no-write-fetch-head", "origin"]).pipe(
            Effect.retry(fetchRetries),
            Effect.asVoid
          )

          const baseCommit = Effect.fnUntraced(function*(branch: string) {
            const missing = new BaseBranchMissing({ repository: name, branch })
            yield* git(gitDir, ["check-ref-format", `refs/heads/${branch}`]).pipe(Effect.mapError(() => missing))
            if (source !== origin) {
              const refspec = `+refs/heads/${branch}:refs/makima/base`
              const own = yield* git(gitDir, [
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                source,
                refspec
              ])
                .pipe(Effect.andThen(commitOf(gitDir, "refs/makima/base")), Effect.orElseSucceed(() => undefined))
              if (own !== undefined) return own
            }
            const commit = yield* commitOf(gitDir, `refs/remotes/origin/${branch}`)
            if (commit !== undefined) return commit
            const refs = yield* run(["ls-remote", "--heads", source])
            return yield* refs === "" ? new RepositoryEmpty({ repository: name }) : missing
          })

          const withGit = Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, spawner)
          return {
            name,
            gitDir,
            exclusively,
            fetch: withGit(fetch),
            baseCommit: (branch: string) => withGit(baseCommit(branch))
          }
        }, Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, spawner))

        return Repositories.of({ open })
      })
    )
}
