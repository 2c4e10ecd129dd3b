/** `makima daemons`: who does the work, and how loaded they are. */
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { json } from "./Configuration.ts"
import { clean } from "./OneLine.ts"
import { query, remoteFlags } from "./Remote.ts"

export const daemons = Command.make("daemons", { json, ...remoteFlags }, (input) =>
  Effect.gen(function*() {
    const found = yield* query(input, (api) => api.daemons.list({ query: {} }))
    if (input.json) return yield* Console.log(JSON.stringify(found.items))
    for (const { activeTasks, hostname, id, maxConcurrentTasks, status } of found.items) {
      yield* Console.log(`${id}  ${status.padEnd(9)}  ${activeTasks}/${maxConcurrentTasks}  ${clean(hostname)}`)
    }
    if (found.items.length === 0) yield* Console.log("No daemons")
  })).pipe(Command.withDescription("List the daemons"))
