/**
 * The repository that a run is about, looked at before anything is started: whether it is there and has what the run
 * needs. Also makes one from a folder of files, for examples and trials.
 */
import { Effect, FileSystem, Option, Path, Schema } from "effect"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import { commitOf, git, gitLines } from "./internal/git.ts"

export class RepositoryUnusable extends Schema.TaggedError<RepositoryUnusable>()("RepositoryUnusable", {
  repository: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `repository ${withoutPassword(this.repository)}: ${this.problem}`
  }
}

const templatePrefix = "template:"

/** A network that drops packets would keep everybody waiting for minutes. */
const answerTimeout = "30 seconds"

/** What is said about a URL is read by others. */
const withoutPassword = (url: string): string => url.replace(/:\/\/[^/@\s]*@/, "://")

export interface Located {
  /** A URL, or an absolute path. */
  readonly repositoryUrl: string
  /** The shell command that shows a branch that was pushed for it. */
  readonly show: (branch: string) => string
}

/**
 * The repository, if the base branch has a commit to start from. Relative paths start from `directory`.
 * `template:<folder>` makes a repository with a bare origin from the folder, in a temporary one.
 */
export const locate = Effect.fn("SourceRepository.locate")(
  function*(
    repositoryUrl: string,
    baseBranch: string,
    directory: string
  ): Effect.fn.Return<Located, RepositoryUnusable, FileSystem.FileSystem | Path.Path | ChildProcessSpawner> {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    if (repositoryUrl.startsWith(templatePrefix)) {
      const folder = path.resolve(directory, repositoryUrl.slice(templatePrefix.length))
      return yield* fromTemplate(folder, baseBranch)
    }
    const wrong = (problem: string) => new RepositoryUnusable({ repository: repositoryUrl, problem })
    if (isUrl(repositoryUrl)) {
      const found = yield* gitLines(directory, [
        "ls-remote",
        "--heads",
        "--",
        repositoryUrl,
        `refs/heads/${baseBranch}`
      ])
        .pipe(
          Effect.mapError((error) => wrong(error.line)),
          Effect.timeoutOrElse({ duration: answerTimeout, orElse: () => wrong(`no answer within ${answerTimeout}`) })
        )
      if (found.length === 0) return yield* wrong(`it has no branch ${baseBranch}`)
      return { repositoryUrl, show: (branch) => `git ls-remote ${quoted(withoutPassword(repositoryUrl))} ${branch}` }
    }
    const local = path.resolve(directory, repositoryUrl)
    const found = yield* Effect.option(fs.stat(local))
    if (Option.isNone(found)) return yield* wrong(`there is nothing at ${local}`)
    if (found.value.type !== "Directory") return yield* wrong(`${local} is not a folder`)
    const problem = yield* git(local, ["rev-parse", "--git-dir"]).pipe(
      Effect.match({ onFailure: ({ line }) => line, onSuccess: () => undefined })
    )
    if (problem !== undefined) {
      return yield* wrong(problem.startsWith("not a git repository") ? `${local} is not a git repository` : problem)
    }
    if ((yield* commitOf(local, `refs/heads/${baseBranch}`)) !== undefined) {
      const remotes = yield* Effect.orElseSucceed(gitLines(local, ["remote"]), (): Array<string> => [])
      return { repositoryUrl: local, show: (branch) => shownIn(local, branch, remotes.includes("origin")) }
    }
    const branches = yield* gitLines(local, ["for-each-ref", "--format=%(refname:short)", "refs/heads"]).pipe(
      Effect.mapError((error) => wrong(error.line))
    )
    return yield* wrong(
      branches.length === 0
        ? "it is empty: make a first commit"
        : `it has no branch ${baseBranch}; it has ${branches.slice(0, 5).join(", ")}${branches.length > 5 ? ", …" : ""}`
    )
  }
)

const quoted = (word: string): string => /^[\w./:@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

const shownIn = (repository: string, branch: string, isFetched: boolean): string => {
  const git = `git -C ${quoted(repository)}`
  return isFetched
    ? `${git} fetch origin && ${git} log --graph --oneline origin/${branch}`
    : `${git} log --graph --oneline ${branch}`
}

/** As git tells them apart: a scheme, or a host before a colon that no slash precedes. */
const isUrl = (repository: string): boolean =>
  /^[a-z][a-z0-9+.-]*:\/\//i.test(repository) || /^[^/\\]+@?[^/\\]*:(?!\\)/.test(repository)

/** The folder stays: what a run made of it is there to look at. */
const fromTemplate = Effect.fnUntraced(function*(folder: string, baseBranch: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const wrong = (problem: string) => new RepositoryUnusable({ repository: `${templatePrefix}${folder}`, problem })
  const entries = yield* fs.readDirectory(folder).pipe(Effect.mapError(() => wrong("there is no such folder")))
  if (entries.length === 0) return yield* wrong("the folder is empty")
  const make = Effect.gen(function*() {
    const parent = yield* fs.makeTempDirectory({ prefix: "makima-repository-" })
    const origin = path.join(parent, "origin.git")
    const repository = path.join(parent, "repository")
    yield* fs.copy(folder, repository)
    yield* git(parent, ["init", "--quiet", "--bare", `--initial-branch=${baseBranch}`, origin])
    yield* git(repository, ["init", "--quiet", `--initial-branch=${baseBranch}`])
    const identity = ["-c", "user.name=makima", "-c", "user.email=makima@localhost"]
    yield* git(repository, ["add", "--all"])
    yield* git(repository, [...identity, "commit", "--quiet", "--message", "Start from the template"])
    yield* git(repository, ["remote", "add", "origin", origin])
    yield* git(repository, ["push", "--quiet", "--set-upstream", "origin", baseBranch])
    return { repositoryUrl: repository, show: (branch: string) => shownIn(origin, branch, false) }
  })
  return yield* Effect.mapError(make, (error) => wrong(error.message))
})
