/** `makima replay`: a directive as it was at a position of the log, or what changed between two. */
import { Console, Effect, Option, Schema, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Directive from "../actors/Directive.ts"
import { EventLog } from "../events/EventLog.ts"
import { DirectiveId } from "../events/Ids.ts"
import { difference, stateAt, type View, view } from "../replay/StateAt.ts"
import * as Configuration from "./Configuration.ts"
import { CommandFailed } from "./Failure.ts"
import { layerLog } from "./Local.ts"
import { clean } from "./OneLine.ts"

const position = (name: string) => Flag.Int(name).pipe(Flag.withSchema(Schema.Natural), Flag.optional)

const flags = {
  directiveId: Argument.String("directive-id").pipe(
    Argument.withSchema(DirectiveId),
    Argument.withDescription("The id of the directive")
  ),
  at: position("at").pipe(Flag.withDescription("A log position; without it, the last")),
  since: position("since").pipe(Flag.withDescription("Show what changed from this position to the other")),
  json: Configuration.json,
  ...Configuration.storeFlags
}

export const replay = Command.make("replay", flags, (input) =>
  Effect.gen(function*() {
    const log = yield* EventLog
    const stream = Directive.streamOf(input.directiveId)
    const recorded = yield* Stream.runCollect(log.read(stream))
    const first = recorded[0]
    if (first === undefined) {
      return yield* new CommandFailed({ message: `there is no directive ${input.directiveId} in this log` })
    }
    if (first.event._tag === "DirectiveRemoved") {
      const { exported } = first.event
      return yield* new CommandFailed({
        message: `directive ${input.directiveId} was removed: its history is in the export with the digest ${exported}`
      })
    }
    const asked = Math.max(Option.getOrElse(input.at, () => 0), Option.getOrElse(input.since, () => 0))
    const head = yield* log.head
    if (asked > head) {
      return yield* new CommandFailed({ message: `the log ends at position ${head}, before ${asked}` })
    }
    const at = Option.getOrElse(input.at, () => recorded.at(-1)!.position)
    if (at < first.position) {
      return yield* new CommandFailed({
        message: `directive ${input.directiveId} begins at position ${first.position}, after ${at}`
      })
    }
    const then = view(stateAt(stream, recorded, at))
    if (Option.isSome(input.since)) {
      const changes = difference(view(stateAt(stream, recorded, input.since.value)), then)
      return yield* Console.log(JSON.stringify(changes, null, input.json ? 0 : 2))
    }
    yield* Console.log(input.json ? JSON.stringify({ position: at, ...then }) : told(at, then))
  }).pipe(Effect.provide(layerLog(input)))).pipe(
    Command.withDescription("Show a directive as it was at a position of the log")
  )

const told = (at: number, { directive, steps, tasks, version }: View): string =>
  [
    `${clean(directive.title)}  ${directive.status}  at position ${at} (${version} events)`,
    `  goal (revision ${directive.goalRevision})  ${clean(directive.goal)}`,
    ...(directive.reason === null ? [] : [`  reason  ${clean(directive.reason)}`]),
    ...(directive.prBranch === null ? [] : [`  branch  ${directive.prBranch}`]),
    ...(directive.prUrl === null ? [] : [`  pull request  ${clean(directive.prUrl)}`]),
    "Steps:",
    ...steps.map((step) => `  ${step.status.padEnd(9)}  ${String(step.orderIndex).padStart(3)}  ${clean(step.name)}`),
    "Tasks:",
    ...tasks.map((task) => `  ${task.status.padEnd(11)}  ${clean(task.name)}`)
  ].join("\n")
