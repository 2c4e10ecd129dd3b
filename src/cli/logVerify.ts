/** `makima log verify`: whether the hash chains of the log, or of an export, hold. */
import { Console, DateTime, Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import { EventLog } from "../events/EventLog.ts"
import { digestOf, type Verified, verifyLog, verifyTranscript } from "../transcript/Verify.ts"
import * as Configuration from "./Configuration.ts"
import { layerLog } from "./Local.ts"
import { clean } from "./OneLine.ts"
import { counted, reading, told } from "./TranscriptFile.ts"

const flags = {
  file: Argument.String("file").pipe(
    Argument.optional,
    Argument.withDescription("What makima log export has written; without it, the log itself is verified")
  ),
  json: Configuration.json,
  ...Configuration.storeFlags
}

export const logVerify = Command.make("verify", flags, (input) =>
  Effect.gen(function*() {
    if (Option.isSome(input.file)) {
      const verified = yield* reading(input.file.value, verifyTranscript)
      return yield* say(input.json, verified, told(verified))
    }
    const verified = yield* Effect.flatMap(EventLog, verifyLog).pipe(Effect.provide(layerLog(input)))
    yield* say(
      input.json,
      verified,
      `${counted(verified.events, "event")} in ${counted(verified.heads.length, "stream")}`
    )
  })).pipe(
    Command.withDescription("Check that no event of the log, or of an export, was changed, left out or put elsewhere")
  )

/** The digest of the heads is the same for a log and for its whole export. */
const say = (json: boolean, verified: Verified, text: string) => {
  const headsDigest = digestOf(verified.heads)
  const removed = verified.removed.map(({ at, exported, stream, version }) =>
    `\n  ${clean(stream)} was removed at ${DateTime.formatIso(DateTime.makeUnsafe(at))} after ${
      counted(version, "event")
    }; export digest ${exported}`
  )
  return Console.log(
    json ? JSON.stringify({ ...verified, headsDigest }) : `${text}; all heads ${headsDigest}${removed.join("")}`
  )
}
