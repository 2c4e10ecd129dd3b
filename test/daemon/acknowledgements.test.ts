/** The extension of the protocol by which neither a final report nor a server that is gone goes unnoticed. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Queue, Scope } from "effect"
import { join } from "node:path"
import type { ServerFrame } from "../../src/daemon/Protocol.ts"
import {
  type Connection,
  hears,
  heartbeat,
  live,
  makeServer,
  patient,
  running,
  setUp,
  spawnTask,
  starting,
  succeeded
} from "./fakeServer.ts"
import { sh, taskId, written } from "./localSupport.ts"

const reported = (n: number, handOver = 1): ServerFrame => ({ type: "reported", taskId: taskId(n), handOver })

/** Hears heartbeats with these tasks, answers them, and gives the first frame that is another one. */
const beat = Effect.fnUntraced(function*({ next, send }: Connection, times = Infinity) {
  for (let heard = 0; heard < times; heard++) {
    const frame = yield* next
    if (frame.type !== "heartbeat") return frame
    yield* send({ type: "heartbeat" })
  }
  return undefined
})

describe("LocalDaemon, acknowledged", () => {
  live(
    "says how a task ended on every connection, before anything else, until that is acknowledged",
    () =>
      Effect.gen(function*() {
        const { acknowledging, directory } = yield* setUp(patient, { heartbeatMillis: 50 })
        const first = yield* acknowledging
        yield* hears(first, heartbeat())
        yield* first.send({ type: "heartbeat" })
        yield* first.send(spawnTask(1))
        assert.deepStrictEqual(yield* beat(first), starting(1))
        assert.deepStrictEqual(yield* beat(first), running(1))
        yield* sh(directory, `touch go-${taskId(1)}`)
        assert.deepStrictEqual(yield* beat(first), succeeded(1))
        // The server has heard it, and has it only in memory for so long that a server without acknowledgements would have
        // been trusted with it.
        yield* beat(first, 8)
        yield* first.close
        const second = yield* acknowledging
        yield* hears(second, succeeded(1), heartbeat())
        yield* second.close
        const third = yield* acknowledging
        yield* hears(third, succeeded(1), heartbeat())
        yield* third.send({ type: "heartbeat" })
        yield* third.send(reported(1))
        yield* beat(third, 2)
        yield* third.close
        yield* hears(yield* acknowledging, heartbeat())
      })
  )

  live("keeps a report that another hand-over's acknowledgement is not for", () =>
    Effect.gen(function*() {
      const { acknowledging } = yield* setUp("true")
      const first = yield* acknowledging
      yield* hears(first, heartbeat())
      yield* first.send(spawnTask(1, { handOver: 2 }))
      yield* hears(first, starting(1, 2), running(1, 2), succeeded(1, 2))
      yield* first.send(reported(1, 1))
      yield* first.send(reported(2, 2))
      yield* first.close
      const second = yield* acknowledging
      while ((yield* second.next).type !== "taskComplete");
    }))

  live("leaves a server that answers no heartbeats, and comes back", () =>
    Effect.gen(function*() {
      const { acknowledging } = yield* setUp("true", { heartbeatMillis: 50 })
      const first = yield* acknowledging
      yield* beat(first, 8)
      // It is frozen from here on: its machine takes what is sent, and says nothing.
      yield* hears(yield* acknowledging, heartbeat())
    }))

  live("stays with a server that knows no acknowledgements and has nothing to say", () =>
    Effect.gen(function*() {
      const { connection, connections } = yield* setUp("true", { heartbeatMillis: 20 })
      const server = yield* connection
      for (let heard = 0; heard < 20; heard++) yield* hears(server, heartbeat())
      assert.strictEqual(yield* Queue.size(connections), 0)
    }))

  live(
    "tries one server after the other, and agents get the one that it is connected to",
    () =>
      Effect.gen(function*() {
        const agent = "echo \"$MAKIMA_API_URL\" >\"$TEST_DIRECTORY/url\""
        const scope = yield* Scope.make()
        const other = yield* makeServer.pipe(Effect.provideService(Scope.Scope, scope))
        const nobody = "http://127.0.0.1:9"
        const last = yield* makeServer
        const { directory } = yield* setUp(agent, { apiUrl: `${nobody}, ${other.apiUrl},${last.apiUrl}` })
        const first = yield* other.acknowledging
        yield* hears(first, heartbeat())
        yield* Scope.close(scope, Exit.void)
        const second = yield* last.acknowledging
        yield* hears(second, heartbeat())
        yield* second.send(spawnTask(1))
        assert.strictEqual(yield* written(join(directory, "url")), last.apiUrl)
      })
  )
})
