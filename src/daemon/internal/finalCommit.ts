/** Turns what an agent left in its worktree, on whichever branch, into one commit that holds all of it. */
import { Effect, FileSystem, Schema } from "effect"
import { join } from "node:path"
import { commitOf, git } from "./git.ts"

export class WorkUnfinished extends Schema.TaggedError<WorkUnfinished>()("WorkUnfinished", {
  operation: Schema.Literals(["merge", "rebase"]),
  paths: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const where = this.paths.length === 0 ? "" : `, with conflicts in ${this.paths.slice(0, 10).join(", ")}`
    return `The agent left a ${this.operation} unfinished${where}`
  }
}

/** A commit message is one line of text, whatever the task is called. */
const messageOf = (taskName: string): string => taskName.replace(/[\p{C}\s]+/gu, " ").trim() || "Work of a task"

const namesOf = (output: string): ReadonlyArray<string> => output.split("\0").filter((name) => name !== "")

const ensureFinished = Effect.fnUntraced(function*(directory: string, gitDir: string) {
  const fs = yield* FileSystem.FileSystem
  const isThere = (name: string) => Effect.orElseSucceed(fs.exists(join(gitDir, name)), () => false)
  const unmerged = namesOf(yield* git(directory, ["diff", "--name-only", "-z", "--diff-filter=U"]))
  if ((yield* isThere("rebase-merge")) || (yield* isThere("rebase-apply"))) {
    return yield* new WorkUnfinished({ operation: "rebase", paths: unmerged })
  }
  if (unmerged.length > 0) return yield* new WorkUnfinished({ operation: "merge", paths: unmerged })
  if (yield* isThere("MERGE_HEAD")) {
    // Everything is marked as resolved; but did anybody look?
    const changed = yield* git(directory, ["diff", "--name-only", "-z", "-G^(<<<<<<<|>>>>>>>) ", "HEAD"])
    if (changed !== "") return yield* new WorkUnfinished({ operation: "merge", paths: namesOf(changed) })
  }
})

/** The commit that holds everything in a worktree whose processes are all gone. */
export const finalCommit = Effect.fnUntraced(function*(directory: string, taskName: string) {
  const fs = yield* FileSystem.FileSystem
  const gitDir = (yield* git(directory, ["rev-parse", "--absolute-git-dir"])).trim()
  yield* ensureFinished(directory, gitDir)
  // A process that was killed in the middle leaves its lock, which has no owner any more.
  yield* Effect.ignore(fs.remove(join(gitDir, "index.lock")))
  yield* git(directory, ["add", "--all"])
  const staged = yield* git(directory, ["diff", "--cached", "--name-only"])
  const merged = yield* commitOf(directory, "MERGE_HEAD")
  if (staged !== "" || merged !== undefined) {
    yield* git(directory, ["-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify", "--file=-"], {
      stdin: messageOf(taskName)
    })
  }
  return (yield* git(directory, ["rev-parse", "HEAD"])).trim()
})
