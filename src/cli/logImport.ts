/** `makima log import`: a transcript as the log of a store that has none. */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { LogNotEmpty } from "../events/PostgresRestore.ts"
import { importTranscript } from "../transcript/Import.ts"
import * as Configuration from "./Configuration.ts"
import { CommandFailed } from "./Failure.ts"
import { counted, reading } from "./TranscriptFile.ts"

const flags = {
  file: Argument.String("file").pipe(Argument.withDescription("What makima log export has written")),
  json: Configuration.json,
  ...Configuration.storeFlags
}

export const logImport = Command.make("import", flags, (input) =>
  Effect.gen(function*() {
    const { digest, events, heads } = yield* reading(input.file, (bytes) =>
      Effect.mapError(importTranscript(bytes), (error) =>
        error instanceof LogNotEmpty ? new CommandFailed({ message: `${error.message}; ${elsewhere}` }) : error))
    yield* Console.log(
      input.json
        ? JSON.stringify({ events, streams: heads.length, digest })
        : `Imported ${counted(events, "event")} in ${counted(heads.length, "stream")}`
    )
  }).pipe(
    Effect.provide(Configuration.layerDatabase(input)),
    Effect.provide(Configuration.layerLogs("Warn"))
  )).pipe(
    Command.withDescription("Fill an empty log from an export: all of it, or nothing if anything is wrong with it")
  )

const elsewhere = "--data-dir with a new folder, or --database-url with a new database, has one"
