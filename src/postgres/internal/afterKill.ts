/**
 * The program that a guard becomes when its process is gone: stops the server that the process used, or was starting,
 * unless somebody else uses it. Its arguments are the directory, the key of the process, and what it started of PostgreSQL.
 */
import { Effect } from "effect"
import { rmSync } from "node:fs"
import { find, unfinished } from "./cluster.ts"
import { stopUnlessUsed } from "./presence.ts"
import * as Server from "./server.ts"

const [directory = "", key, ...started] = process.argv.slice(2)
const isStarting = () => started.map(Number).some(Server.isAlive)

const stop = Effect.gen(function*() {
  const cluster = yield* find(directory)
  // One that has just been started has no socket yet, and perhaps has not even written its process id.
  const canCome = () => isStarting() || Server.isAlive(Server.processId(cluster.data))
  yield* stopUnlessUsed(cluster, Server.socketDirectory(cluster), canCome, Number(key))
})

const clear = Effect.gen(function*() {
  const fresh = yield* Effect.try(() => unfinished(directory, Number(key)))
  if (fresh === undefined) return
  // What makes data ends by itself, after a second.
  yield* Effect.timeoutOption(Server.until(() => !isStarting()), "10 seconds")
  yield* Effect.try(() => rmSync(fresh, { recursive: true, force: true, maxRetries: 5 }))
})

// Nobody hears anything: where there are no data there is no server, and what cannot be removed has to stay.
await Effect.runPromise(
  Effect.ignore(stop).pipe(
    Effect.andThen(Effect.ignore(clear)),
    // Longer than any server takes to start, after whatever crash.
    Effect.timeoutOption("10 minutes")
  )
)
