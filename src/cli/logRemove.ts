/** `makima log remove`: an archived directive out of the log and into a file. */
import { Console, Effect, Layer } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { EventLog } from "../events/EventLog.ts"
import { DirectiveId } from "../events/Ids.ts"
import * as PostgresEventLog from "../events/PostgresEventLog.ts"
import * as PostgresSnapshots from "../events/PostgresSnapshots.ts"
import { transcript } from "../transcript/Export.ts"
import { finishRemoval, removable, remove } from "../transcript/Removal.ts"
import { verifyTranscript } from "../transcript/Verify.ts"
import * as Configuration from "./Configuration.ts"
import { counted, reading, writing } from "./TranscriptFile.ts"

const flags = {
  directiveId: Argument.String("directive-id").pipe(
    Argument.withSchema(DirectiveId),
    Argument.withDescription("An archived directive")
  ),
  export: Flag.String("export").pipe(Flag.withDescription("The file to write its history to before it goes")),
  json: Configuration.json,
  ...Configuration.storeFlags
}

const layer = (store: Configuration.Store) =>
  Layer.mergeAll(PostgresEventLog.layer, PostgresSnapshots.layer).pipe(
    Layer.provide(Configuration.layerExistingDatabase(store)),
    Layer.provideMerge(Configuration.layerLogs("Warn"))
  )

export const logRemove = Command.make(
  "remove",
  flags,
  ({ directiveId, export: file, ...input }) =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const say = (events: number, exported: string, text: string) =>
        Console.log(input.json ? JSON.stringify({ directiveId, events, exported }) : text)
      const { state } = yield* removable(log, directiveId)
      if (state.removed !== undefined) {
        const events = yield* finishRemoval(log, directiveId)
        const rest = events === 0 ? "" : `; the ${counted(events, "event")} that were left are gone now`
        return yield* say(
          events,
          state.removed,
          `${directiveId} was removed before, export digest ${state.removed}${rest}`
        )
      }
      yield* writing(file, transcript(log, { _tag: "Directive", directiveId }, "plain"))
      // What is on the disk is what counts, not what was meant to be written.
      const verified = yield* reading(file, verifyTranscript)
      const events = yield* remove(log, directiveId, verified)
      yield* say(events, verified.digest, `Removed ${counted(events, "event")} of ${directiveId}; ${file} has them`)
    }).pipe(Effect.provide(layer(input)))
).pipe(
  Command.withDescription(
    "Export an archived directive and take it out of the log, for good: only its last hash and the export's digest stay"
  )
)
