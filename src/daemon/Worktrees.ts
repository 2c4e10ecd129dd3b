/**
 * A git worktree for each task: where it starts, and what is kept of it when it ends.
 *
 * Whatever a task has finished is kept in the repository's copy under `refs/makima/tasks/<task id>`, and on origin under
 * the task's branch. Local branches are scratch: they are gone once no task works on the repository.
 */
import { Context, Effect, FileSystem, Layer, Path, Schedule, Schema, type Scope, Semaphore } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import type { TaskId } from "../events/Ids.ts"
import * as BranchName from "./BranchName.ts"
import { finalCommit, type WorkUnfinished } from "./internal/finalCommit.ts"
import { commitOf, git, type GitFailed, gitLines } from "./internal/git.ts"
import {
  type BaseBranchMissing,
  Repositories,
  type Repository,
  type RepositoryEmpty,
  type RepositoryUnavailable
} from "./Repositories.ts"

export class NothingToContinueFrom extends Schema.TaggedError<NothingToContinueFrom>()("NothingToContinueFrom", {
  repository: Schema.String,
  taskId: Schema.String
}) {
  override get message(): string {
    return `The work of task ${this.taskId}, which this task continues, is neither here nor in ${this.repository}`
  }
}

export class PushFailed extends Schema.TaggedError<PushFailed>()("PushFailed", {
  repository: Schema.String,
  branch: Schema.String,
  line: Schema.String
}) {
  override get message(): string {
    return `The branch ${this.branch} cannot be pushed to ${this.repository}: ${this.line}`
  }
}

export class WorktreeFailed extends Schema.TaggedError<WorktreeFailed>()("WorktreeFailed", {
  taskId: Schema.String,
  line: Schema.String
}) {
  override get message(): string {
    return `The worktree of task ${this.taskId} failed: ${this.line}`
  }
}

export type WorktreeError =
  | BaseBranchMissing
  | NothingToContinueFrom
  | RepositoryEmpty
  | RepositoryUnavailable
  | WorktreeFailed

/** What a task says about where it works. */
export interface Request {
  readonly taskId: TaskId
  readonly taskName: string
  readonly repoUrl: string | null
  readonly baseBranch: string | null
  readonly continueFromTaskId: TaskId | null
  readonly completionAction: string | null
}

export interface Worktree {
  readonly path: string
  /** Keeps and pushes all that is there, committed or not, when the task's completion action asks for that. */
  readonly finish: Effect.Effect<void, PushFailed | WorkUnfinished | WorktreeFailed>
}

const defaultBaseBranch = "main"
const pushRetries = { schedule: Schedule.exponential("250 millis"), times: 2 }
const refOf = (taskId: TaskId): string => `refs/makima/tasks/${taskId}`

const isAlive = (pid: number): boolean => {
  if (pid <= 0 || Number.isNaN(pid)) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

export class Worktrees extends Context.Service<Worktrees, {
  /** A directory for the task, as it should find it. Closing the scope removes it. One at a time per task id. */
  acquire(request: Request): Effect.Effect<Worktree, WorktreeError, Scope.Scope>
}>()("makima-runtime/daemon/Worktrees") {
  static readonly layerNoDeps = (workDir: string) =>
    Layer.effect(
      Worktrees,
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const paths = yield* Path.Path
        const repositories = yield* Repositories
        const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
        const directory = paths.resolve(workDir, "worktrees")
        const locks = new Map<TaskId, { readonly lock: Semaphore.Semaphore; users: number }>()
        /** The worktrees that are there, and the copies that they hang on. Nobody works in a finished one any more. */
        const present = new Map<TaskId, { readonly path: string; readonly gitDir: string; finished: boolean }>()

        /** A task that is handed over again waits until what is left of its last time here is gone. */
        const lockTask = (taskId: TaskId) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const entry = locks.get(taskId) ?? { lock: Semaphore.makeUnsafe(1), users: 0 }
              entry.users++
              locks.set(taskId, entry)
              return entry
            }),
            (entry) => Effect.sync(() => --entry.users === 0 && locks.delete(taskId))
          ).pipe(Effect.flatMap(({ lock }) => lock.takeScoped(1)))

        const removeDirectory = (path: string) =>
          fs.remove(path, { recursive: true, force: true }).pipe(
            // Some tools leave directories that may not be written to.
            Effect.catch(() =>
              Effect.andThen(
                spawner.exitCode(ChildProcess.make("chmod", ["-R", "u+rwX", path])),
                fs.remove(path, { recursive: true, force: true })
              )
            ),
            Effect.catch((error) => Effect.logWarning("A worktree cannot be removed completely", error.message))
          )

        /** A daemon that was killed leaves its worktrees. Those of one that runs are its own affair. */
        const removeLeftovers = Effect.gen(function*() {
          const owner = paths.join(directory, ".owner")
          const pid = Number(yield* Effect.orElseSucceed(fs.readFileString(owner), () => ""))
          if (pid !== process.pid && isAlive(pid)) return
          yield* removeDirectory(directory)
          yield* fs.makeDirectory(directory, { recursive: true })
          yield* fs.writeFileString(owner, String(process.pid))
        })

        /** The state of a live worktree as a commit, made without disturbing the agent in it. */
        const snapshot = Effect.fnUntraced(function*(path: string) {
          const temporary = yield* fs.makeTempDirectoryScoped({ prefix: "makima-index-" })
          const env = { GIT_INDEX_FILE: paths.join(temporary, "index") }
          yield* git(path, ["read-tree", "HEAD"], { env })
          yield* git(path, ["add", "--all"], { env })
          const tree = (yield* git(path, ["write-tree"], { env })).trim()
          return (yield* git(path, ["commit-tree", "-p", "HEAD", "-m", "Uncommitted changes", tree])).trim()
        }, Effect.scoped)

        /** The commit that a task starts from, and whether its own changes are to be left uncommitted. */
        const startOf = Effect.fnUntraced(function*(repository: Repository, request: Request) {
          const { baseBranch, continueFromTaskId: continued } = request
          if (continued === null) {
            return { commit: yield* repository.baseCommit(baseBranch ?? defaultBaseBranch), uncommitted: false }
          }
          const neighbour = present.get(continued)
          if (neighbour?.gitDir === repository.gitDir && !neighbour.finished) {
            return { commit: yield* snapshot(neighbour.path), uncommitted: true }
          }
          // Origin knows best: another machine, or a person, may have gone on where this one left off.
          const pattern = `refs/remotes/origin/makima/*-${BranchName.shortId(continued)}`
          const newest = ["for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(objectname)", pattern]
          const [pushed] = yield* gitLines(repository.gitDir, newest)
          const commit = pushed ?? (yield* commitOf(repository.gitDir, refOf(continued)))
          if (commit !== undefined) return { commit, uncommitted: false }
          return yield* new NothingToContinueFrom({ repository: repository.name, taskId: continued })
        })

        /** Branches that earlier agents left behind would be stale for later ones, which look for origin's. */
        const forgetBranches = Effect.fnUntraced(function*({ gitDir }: Repository) {
          const finished = new Set([...present.values()].filter(({ finished }) => finished).map(({ path }) => path))
          const lines = yield* gitLines(gitDir, ["worktree", "list", "--porcelain"])
          // The first one listed is the copy itself.
          const worktrees = lines.filter((line) => line.startsWith("worktree ")).slice(1)
          if (worktrees.some((line) => !finished.has(line.slice("worktree ".length)))) return
          const deletions = yield* git(gitDir, ["for-each-ref", "--format=delete %(refname)", "refs/heads"])
          if (deletions !== "") yield* git(gitDir, ["update-ref", "--stdin"], { stdin: deletions })
        })

        const create = Effect.fnUntraced(function*(repository: Repository, request: Request, path: string) {
          const { gitDir } = repository
          yield* repository.fetch
          yield* git(gitDir, ["worktree", "prune"])
          yield* forgetBranches(repository)
          const { commit, uncommitted } = yield* startOf(repository, request)
          const branch = request.completionAction === "branch"
            ? ["-B", BranchName.ofTask(request.taskName, request.taskId)]
            : ["--detach"]
          yield* git(gitDir, ["worktree", "add", "--quiet", "--force", ...branch, path, commit])
          if (uncommitted) yield* git(path, ["reset", "--quiet", "HEAD~"])
        })

        const finish = Effect.fn("Worktrees.finish")(function*(repository: Repository, request: Request, path: string) {
          if (request.completionAction !== "branch") return
          const failed = worktreeFailed(request.taskId)
          const commit = yield* finalCommit(path, request.taskName).pipe(
            Effect.catchTag("GitFailed", (error) => Effect.fail(failed(error)))
          )
          const branch = BranchName.ofTask(request.taskName, request.taskId)
          const refspec = `${commit}:refs/heads/${branch}`
          yield* git(path, ["push", "--quiet", "--force", "--no-verify", "origin", refspec]).pipe(
            Effect.retry(pushRetries),
            Effect.mapError(({ line }) => new PushFailed({ repository: repository.name, branch, line }))
          )
          yield* Effect.mapError(git(repository.gitDir, ["update-ref", refOf(request.taskId), commit]), failed)
          // From here on the kept commit is what a continuation starts from, not this directory.
          const entry = present.get(request.taskId)
          if (entry !== undefined) entry.finished = true
        })

        const acquire = Effect.fn("Worktrees.acquire")(function*(request: Request) {
          const { repoUrl, taskId } = request
          const failed = worktreeFailed(taskId)
          const path = paths.join(directory, taskId)
          yield* lockTask(taskId)
          yield* removeDirectory(path)
          if (repoUrl === null) {
            yield* Effect.acquireRelease(
              Effect.mapError(fs.makeDirectory(path), failed),
              () => removeDirectory(path)
            )
            return { path, finish: Effect.void }
          }
          const repository = yield* repositories.open(repoUrl)
          // What an interrupted creation leaves behind is removed as well, so the release comes first.
          yield* Effect.addFinalizer(() => {
            present.delete(taskId)
            return Effect.andThen(
              removeDirectory(path),
              Effect.ignore(repository.exclusively(git(repository.gitDir, ["worktree", "prune"])))
            )
          })
          yield* repository.exclusively(
            Effect.tap(create(repository, request, path), () =>
              Effect.sync(() => present.set(taskId, { path, gitDir: repository.gitDir, finished: false })))
          ).pipe(Effect.catchTag(["GitFailed", "PlatformError"], (error) =>
            Effect.fail(failed(error))))
          return { path, finish: withGit(finish(repository, request, path)) }
        })

        const withGit = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          effect.pipe(
            Effect.provideService(FileSystem.FileSystem, fs),
            Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, spawner)
          )
        yield* removeLeftovers
        return Worktrees.of({ acquire: (request) => withGit(acquire(request)) })
      })
    )

  static readonly layer = (workDir: string) =>
    Worktrees.layerNoDeps(workDir).pipe(Layer.provide(Repositories.layer(workDir)))
}

const worktreeFailed = (taskId: TaskId) => (error: GitFailed | { readonly message: string }) =>
  new WorktreeFailed({ taskId, line: "line" in error ? error.line : error.message })
