/** `makima log`: the events of the log, as lines, once or as they come. */
import { Console, Effect, Option, Schema, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Directive from "../actors/Directive.ts"
import { EventLog } from "../events/EventLog.ts"
import { DirectiveId } from "../events/Ids.ts"
import * as Vocabulary from "../events/Vocabulary.ts"
import { history } from "../replay/History.ts"
import * as LogLine from "../replay/LogLine.ts"
import * as Configuration from "./Configuration.ts"
import { CommandFailed } from "./Failure.ts"
import { layerLog } from "./Local.ts"
import { logExport } from "./logExport.ts"
import { logImport } from "./logImport.ts"
import { logRemove } from "./logRemove.ts"
import { logVerify } from "./logVerify.ts"
import { clean } from "./OneLine.ts"
import { didYouMean } from "./Suggestion.ts"

const types = Object.keys(Vocabulary.cases)

const flags = {
  directiveId: Argument.String("directive-id").pipe(
    Argument.withSchema(DirectiveId),
    Argument.optional,
    Argument.withDescription("Only the events of this directive; without it, all")
  ),
  type: Flag.String("type").pipe(
    Flag.filter(
      (type) => Object.hasOwn(Vocabulary.cases, type),
      (type) => `there is no type of events ${JSON.stringify(clean(type))}${didYouMean(type, types)}`
    ),
    Flag.optional,
    Flag.withDescription("Only events of this type, such as StepFailed")
  ),
  from: Flag.Int("from").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDefault(0),
    Flag.withDescription("From this log position on")
  ),
  follow: Flag.Boolean("follow").pipe(
    Flag.withAlias("f"),
    Flag.withDefault(false),
    Flag.withDescription("Go on as events are committed")
  ),
  json: Configuration.json,
  ...Configuration.storeFlags
}

export const log = Command.make("log", flags, (input) =>
  Effect.gen(function*() {
    const events = yield* EventLog
    const stream = Option.map(input.directiveId, Directive.streamOf)
    const after = Math.max(0, input.from - 1)
    if (Option.isSome(stream)) {
      const first = yield* Stream.runHead(history(events, stream.value))
      if (Option.isNone(first) && !input.follow) {
        return yield* new CommandFailed({
          message: `there is no directive ${Option.getOrThrow(input.directiveId)} in this log`
        })
      }
    }
    const source = input.follow
      ? events.subscribe({ after })
      : Option.isSome(stream)
      ? history(events, stream.value)
      : events.readAll({ after })
    yield* source.pipe(
      Stream.filter((recorded) =>
        recorded.position > after &&
        (Option.isNone(stream) || recorded.stream === stream.value) &&
        (Option.isNone(input.type) || LogLine.typeOf(recorded) === input.type.value)
      ),
      Stream.runForEach((recorded) =>
        Console.log(input.json ? JSON.stringify(LogLine.json(recorded)) : LogLine.human(recorded))
      )
    )
  }).pipe(Effect.provide(layerLog(input)))).pipe(
    Command.withDescription("Show the events of the log"),
    Command.withSubcommands([logExport, logImport, logVerify, logRemove])
  )
