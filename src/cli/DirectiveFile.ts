/** The file that `makima run` takes, and everything that can be wrong with it before anything is started. */
import { Effect, FileSystem, Path, Result, Schema } from "effect"
import type { PlatformError } from "effect/PlatformError"
import * as Directive from "../actors/Directive.ts"
import { BaseBranch, Goal, NewStep, RepositoryUrl, Title } from "../actors/DirectiveCommand.ts"
import { OwnerId } from "../events/Ids.ts"
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

/** The rules themselves say what is wrong with the steps, on a directive that nobody has started. */
const problemOfSteps = ({ goal, steps, title }: DirectiveFile): string | undefined => {
  if (steps === undefined || steps.length === 0) return undefined
  const context = { now: 0, policy: Directive.defaultPolicy }
  const ownerId = OwnerId.make("nobody")
  const created = Directive.decide(
    Directive.empty(Directive.streamOf("00000000-0000-5000-8000-000000000000")),
    { _tag: "CreateDirective", ownerId, title, goal },
    context
  )
  const added = Result.flatMap(created, ({ state }) => Directive.decide(state, { _tag: "AddSteps", steps }, context))
  return Result.isFailure(added) ? added.failure.message.replace(/; no step was added$/, "") : undefined
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
