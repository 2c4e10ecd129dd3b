/** Real git repositories for tests that give them to processes. */
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { environment } from "./environment.ts"

/** Runs git, as nobody in particular, and gives what it prints. */
export const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", ...args], {
    cwd,
    env: environment,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"]
  }).trim()

export interface RepositoryOptions {
  /** A folder whose files it starts with, instead of one small file. */
  readonly files?: string
  /** Whether there is a bare origin beside it; there is unless this says no. */
  readonly origin?: boolean
}

/** Makes a repository in a folder, with one commit on `main`. */
export const repositoryIn = (folder: string, { files, origin = true }: RepositoryOptions = {}): string => {
  const repository = join(folder, "repository")
  if (files === undefined) {
    mkdirSync(repository)
    writeFileSync(join(repository, "README"), "A start\n")
  } else cpSync(files, repository, { recursive: true })
  git(repository, "init", "--quiet", "--initial-branch", "main")
  git(repository, "add", "--all")
  git(repository, "commit", "--quiet", "--message", "Start")
  if (origin) {
    git(folder, "clone", "--quiet", "--bare", repository, "origin.git")
    git(repository, "remote", "add", "origin", join(folder, "origin.git"))
    git(repository, "fetch", "--quiet")
  }
  return repository
}
