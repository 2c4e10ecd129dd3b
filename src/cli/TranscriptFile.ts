/** Transcripts on disk: what goes wrong with one is said in a line that begins with its name. */
import { Effect, FileSystem, Stream } from "effect"
import type { PlatformError } from "effect/PlatformError"
import type { VerifiedTranscript } from "../transcript/Verify.ts"
import { CommandFailed } from "./Failure.ts"

const about = (file: string) => (error: { readonly message: string }): CommandFailed =>
  new CommandFailed({ message: `${file}: ${error.message}` })

const notFound = (missing: string, file: string) => ({ reason }: PlatformError): CommandFailed =>
  new CommandFailed({ message: reason._tag === "NotFound" ? `${missing} ${file}` : `${file}: ${reason.message}` })

/** Large enough that a database gets few and full statements. */
const chunkSize = 1024 * 1024

/** Uses the bytes of a file. What is wrong with the bytes is wrong with the file. */
export const reading = <A, E extends { readonly message: string }, R>(
  file: string,
  use: (bytes: Stream.Stream<Uint8Array, CommandFailed>) => Effect.Effect<A, E | CommandFailed, R>
): Effect.Effect<A, CommandFailed, R | FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const bytes = Stream.mapError(fs.stream(file, { chunkSize }), notFound("there is no file", file))
    return yield* Effect.mapError(use(bytes), (error) => error instanceof CommandFailed ? error : about(file)(error))
  })

/**
 * Makes a file of bytes that outlives a crash of the machine once this has ended. Until then it has another name, so that
 * nobody takes a part for the whole.
 */
export const writing = Effect.fnUntraced(
  function*<E, R>(file: string, bytes: Stream.Stream<Uint8Array, E, R>) {
    const fs = yield* FileSystem.FileSystem
    const partial = `${file}.partial`
    const failed = notFound("there is no folder for", file)
    yield* Effect.scoped(Effect.gen(function*() {
      const opened = yield* Effect.mapError(fs.open(partial, { flag: "w" }), failed)
      yield* Stream.runForEachArray(
        bytes,
        (page) => Effect.mapError(opened.writeAll(Buffer.concat(page)), failed)
      )
      yield* Effect.mapError(opened.sync, failed)
    })).pipe(Effect.onError(() => Effect.ignore(fs.remove(partial))))
    yield* Effect.mapError(fs.rename(partial, file), failed)
  }
)

/** What a transcript comes to, for people. */
export const told = ({ digest, events, heads, opening }: VerifiedTranscript): string =>
  `${counted(events, "event")} in ${counted(heads.length, "stream")}` +
  `${opening.texts === "redacted" ? ", texts redacted" : ""}; digest ${digest}`

export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`
