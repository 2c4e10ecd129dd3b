/** `makima log export`: the log, or a part of it, as a transcript. */
import { Console, Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { EventLog } from "../events/EventLog.ts"
import { DirectiveId, OwnerId } from "../events/Ids.ts"
import { eventsOf, transcript } from "../transcript/Export.ts"
import type { Contents } from "../transcript/Transcript.ts"
import { verifyTranscript } from "../transcript/Verify.ts"
import * as Configuration from "./Configuration.ts"
import { CommandFailed, UsageError } from "./Failure.ts"
import { layerLog } from "./Local.ts"
import { reading, told, writing } from "./TranscriptFile.ts"

const flags = {
  directiveId: Argument.String("directive-id").pipe(
    Argument.withSchema(DirectiveId),
    Argument.optional,
    Argument.withDescription("The directive to export")
  ),
  owner: Flag.String("owner").pipe(
    Flag.withSchema(OwnerId),
    Flag.optional,
    Flag.withDescription("Export all directives and daemons of this owner")
  ),
  all: Flag.Boolean("all").pipe(Flag.withDefault(false), Flag.withDescription("Export the whole log")),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.optional,
    Flag.withDescription("The file to write and verify; standard output if unset")
  ),
  redact: Flag.Boolean("redact").pipe(
    Flag.withDefault(false),
    Flag.withDescription(
      "Put a digest and a length in the place of every text. Names of streams, which hold owners, and ids of commands " +
        "stay. The hashes hold, but it cannot be imported"
    )
  ),
  json: Configuration.json,
  ...Configuration.storeFlags
}

export const logExport = Command.make("export", flags, (input) =>
  Effect.gen(function*() {
    const contents = yield* contentsOf(input)
    const log = yield* EventLog
    if (contents._tag !== "All" && Option.isNone(yield* Stream.runHead(eventsOf(log, contents)))) {
      return yield* new CommandFailed({ message: `there is ${nothing(contents)} in this log` })
    }
    const bytes = transcript(log, contents, input.redact ? "redacted" : "plain")
    if (Option.isNone(input.out)) return yield* Stream.runForEach(bytes, (line) => Console.log(textOf(line)))
    const file = input.out.value
    yield* writing(file, bytes)
    const verified = yield* reading(file, verifyTranscript)
    yield* Console.log(input.json ? JSON.stringify({ file, ...verified }) : `${file}: ${told(verified)}`)
  }).pipe(Effect.provide(layerLog(input)))).pipe(
    Command.withDescription("Write events with their hashes, so that nothing can be changed, left out or put elsewhere")
  )

const contentsOf = (
  { all, directiveId, owner }: {
    readonly all: boolean
    readonly directiveId: Option.Option<DirectiveId>
    readonly owner: Option.Option<OwnerId>
  }
): Effect.Effect<Contents, UsageError> => {
  const asked: ReadonlyArray<Contents> = [
    ...(all ? [{ _tag: "All" } as const] : []),
    ...Option.toArray(owner).map((ownerId) => ({ _tag: "Owner", ownerId }) as const),
    ...Option.toArray(directiveId).map((directiveId) => ({ _tag: "Directive", directiveId }) as const)
  ]
  const [contents, ...more] = asked
  return contents === undefined || more.length > 0
    ? Effect.fail(
      new UsageError({ message: "say what to export: <directive-id>, --owner or --all, and only one of them" })
    )
    : Effect.succeed(contents)
}

const nothing = (contents: Exclude<Contents, { readonly _tag: "All" }>): string =>
  contents._tag === "Owner"
    ? `nothing of owner ${JSON.stringify(contents.ownerId)}`
    : `no directive ${contents.directiveId}`

const textOf = (line: Uint8Array): string => Buffer.from(line).toString().slice(0, -1)
