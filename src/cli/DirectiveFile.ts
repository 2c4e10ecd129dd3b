/** The file that `makima run` takes, and everything that can be wrong with it before anything is started. */
import { Effect, FileSystem, Path, Result, Schema } from "effect"
import type { PlatformError } from "effect/PlatformError"
import { BaseBranch, Goal, NewStep, RepositoryUrl, Title } from "../actors/DirectiveCommand.ts"
import { problemOfSteps } from "../actors/StepsProblem.ts"
import { fieldName, findingOf } from "../server/Findings.ts"
import { UsageError } from "./Failure.ts"

export const DirectiveFile = Schema.Struct({
  title: Title,
  goal: Goal,
  repositoryUrl: Schema.optionalKey(RepositoryUrl),
  baseBranch: Schema.optionalKey(BaseBranch),
  memoryEnabled: Schema.optionalKey(Schema.Boolean),
  /** The shell command that starts an agent; `--agent` goes before it. */
  agent: Schema.optionalKey(Schema.String.check(Schema.isPattern(/\S/, { message: "is empty" }))),
  /** Steps that are known already: with them, nothing is planned. */
  steps: Schema.optionalKey(Schema.Array(NewStep))
})
export type DirectiveFile = typeof DirectiveFile.Type

const decode = Schema.decodeUnknownResult(DirectiveFile, { onExcessProperty: "error" })

/** Reads the file; `directory` is where it is, which its relative paths start from. */
export const read = Effect.fn("DirectiveFile.read")(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const wrong = (problem: string) => new UsageError({ message: `${file}: ${problem}` })
  const text = yield* fs.readFileString(file).pipe(
    Effect.mapError(({ reason }) => wrong(unreadable(reason)))
  )
  const value = yield* Effect.try({
    try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
    catch: (error) => wrong(`is not JSON: ${placed(text, error)}`)
  })
  const decoded = decode(value)
  if (Result.isFailure(decoded)) {
    const { message, path } = findingOf(decoded.failure.issue)
    return yield* wrong(path.length === 0 ? message : `${fieldName(path)}: ${message}`)
  }
  const directive = decoded.success
  const problem = problemOfSteps(directive)
  if (problem !== undefined) return yield* wrong(problem)
  return { directive, directory: path.dirname(path.resolve(file)) }
})

const unreadable = (reason: PlatformError["reason"]): string => {
  if (reason._tag === "NotFound") return "there is no such file"
  if (reason._tag === "PermissionDenied") return "may not be read"
  const { cause } = reason
  return cause instanceof Error && "code" in cause && cause.code === "EISDIR" ? "is a folder" : reason.message
}

/** V8 names the place of a syntax error by its offset; people look for a line. */
const placed = (text: string, error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  const offset = /at position (\d+)/.exec(message)?.[1]
  if (offset === undefined || message.includes("line ")) return firstLine(message)
  const before = text.slice(0, Number(offset)).split("\n")
  return `${firstLine(message)} (line ${before.length} column ${before.at(-1)!.length + 1})`
}

const firstLine = (message: string): string => message.replace(/\s*\n\s*/g, " ").trim()
