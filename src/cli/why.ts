/** `makima why`: why a directive and each of its unfinished steps are where they are. */
import { Clock, Console, Effect, Option, Stream } from "effect"
import { Command } from "effect/cli"
import * as Directive from "../actors/Directive.ts"
import * as Supervision from "../actors/Supervision.ts"
import { EventLog } from "../events/EventLog.ts"
import { stateAt } from "../replay/StateAt.ts"
import { type Why, why as explain } from "../replay/Why.ts"
import * as Configuration from "./Configuration.ts"
import { CommandFailed } from "./Failure.ts"
import { layerLog } from "./Local.ts"
import { clean } from "./OneLine.ts"
import { directiveArgument, query, remoteFlags } from "./Remote.ts"

const flags = {
  directiveId: directiveArgument,
  json: Configuration.json,
  ...remoteFlags,
  ...Configuration.storeFlags
}

/** With an API key it asks the server, which knows the daemons; without one it reads the log itself. */
export const why = Command.make("why", flags, (input) =>
  Effect.gen(function*() {
    const answer = yield* Option.isSome(input.apiKey)
      ? query(input, (api) => api.directives.why({ params: { id: input.directiveId } }))
      : fromLog(input.directiveId).pipe(Effect.provide(layerLog(input)))
    yield* Console.log(input.json ? JSON.stringify(answer) : told(answer))
  })).pipe(Command.withDescription("Say why each unfinished step is where it is"))

const fromLog = Effect.fnUntraced(function*(directiveId: string) {
  const log = yield* EventLog
  const stream = Directive.streamOf(directiveId)
  const recorded = yield* Stream.runCollect(log.read(stream))
  if (recorded.length === 0) {
    return yield* new CommandFailed({ message: `there is no directive ${directiveId} in this log` })
  }
  // Nobody is connected to a log that is only read.
  const parked = Option.getOrUndefined(yield* Supervision.parked(log, stream))
  return explain(stateAt(stream, recorded), [], yield* Clock.currentTimeMillis, parked)
})

const told = ({ directive, steps }: Why): string =>
  [
    directive,
    ...steps.map(({ because, name, status }) => `  ${status.padEnd(8)} ${clean(name)}: ${because}`)
  ].join("\n")
