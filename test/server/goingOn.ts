/** Answers of a server that go on for as long as somebody listens, and a task to listen to. */
import { Deferred, Effect, Exit, Queue } from "effect"
import { request } from "node:http"
import { TaskId } from "../../src/events/Ids.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"
import { alice, Keys, newDirective } from "./server.ts"

/** Opens an answer that goes on, and gives its lines as they come. Closing the scope hangs up. */
export const open = Effect.fnUntraced(function*(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  at?: string
) {
  const keys = yield* Keys
  const url = at ?? (yield* HttpServer.url)
  const lines = yield* Queue.unbounded<string>()
  const ended = yield* Deferred.make<"whole" | "broken off">()
  const message = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const sent = request(url + path, { headers: { authorization: `Bearer ${keys.alice}`, ...headers } })
      sent.on("response", (response) => {
        let rest = ""
        response.setEncoding("utf8")
        response.on("data", (text: string) => {
          const parts = (rest + text).split("\n")
          rest = parts.pop() ?? ""
          for (const part of parts) Queue.offerUnsafe(lines, part)
        })
        response.on("error", () => {})
        response.on("close", () => Deferred.doneUnsafe(ended, Exit.succeed(response.complete ? "whole" : "broken off")))
      })
      sent.on("error", () => Deferred.doneUnsafe(ended, Exit.succeed("broken off")))
      sent.end()
      return sent
    }),
    (sent) => Effect.sync(() => sent.destroy())
  )
  return { lines, ended: Deferred.await(ended), hangUp: Effect.sync(() => message.destroy()) }
})

/** A task that a daemon is at, of a directive of its own. */
export const runningTask = Effect.gen(function*() {
  const daemon = yield* Effect.acquireRelease(
    connectDaemon(alice, "desktop"),
    ({ disconnect }) => Effect.orDie(disconnect)
  )
  yield* newDirective({ start: true })
  // Of whichever directive it is: there may be others.
  const { directiveId: id, taskId } = yield* daemon.nextTask
  return { id, taskId: TaskId.make(taskId) }
})
