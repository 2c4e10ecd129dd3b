/** `makima daemons`: who does the work, and how loaded they are. */
import { Console, DateTime, Effect } from "effect"
import { Command } from "effect/cli"
import { json } from "./Configuration.ts"
import { clean } from "./OneLine.ts"
import { query, remoteFlags } from "./Remote.ts"

const resume = Command.make("resume", { json, ...remoteFlags }, (input) =>
  Effect.gen(function*() {
    const answer = yield* query(input, (api) => api.daemons.resume())
    const told = answer.resumed
      ? "Daemons can connect again"
      : "Nothing kept daemons from connecting: there was nothing to resume"
    yield* Console.log(input.json ? JSON.stringify(answer) : told)
  })).pipe(Command.withDescription("Let daemons connect again after what keeps track of them failed too often"))

export const daemons = Command.make("daemons", { json, ...remoteFlags }, (input) =>
  Effect.gen(function*() {
    const { items, parked } = yield* query(input, (api) => api.daemons.list({ query: {} }))
    if (parked !== null) {
      const since = DateTime.formatIso(DateTime.makeUnsafe(parked.since))
      yield* Console.error(
        `No daemon can connect since ${since}: ${clean(parked.cause)}. \`makima daemons resume\` tries again.`
      )
    }
    if (input.json) return yield* Console.log(JSON.stringify(items))
    for (const { activeTasks, hostname, id, maxConcurrentTasks, status } of items) {
      yield* Console.log(`${id}  ${status.padEnd(9)}  ${activeTasks}/${maxConcurrentTasks}  ${clean(hostname)}`)
    }
    if (items.length === 0) yield* Console.log("No daemons")
  })).pipe(Command.withDescription("List the daemons"), Command.withSubcommands([resume]))
