/**
 * The worker on this machine: takes tasks from the server and has agents do them in worktrees.
 *
 * It decides nothing about tasks. It outlives the server's restarts: agents go on, and what there is to report waits in
 * the outbox. It never outlives itself: when it stops, no agent and no worktree is left.
 */
import { NodeServices, NodeSocket } from "@effect/platform-node"
import { Clock, Effect, Fiber, Layer, Redacted, Schedule } from "effect"
import { hostname } from "node:os"
import { environmentOf } from "./internal/agentEnvironment.ts"
import * as AgentTasks from "./internal/agentTasks.ts"
import * as AgentTools from "./internal/agentTools.ts"
import * as Outbox from "./internal/outbox.ts"
import * as ServerConnection from "./internal/serverConnection.ts"
import { HeartbeatMillis } from "./Protocol.ts"
import { Worktrees } from "./Worktrees.ts"

export { DaemonRefused } from "./internal/serverConnection.ts"

export interface Options {
  /** `http://host:port` of the server; or of several, with commas in between, which are tried in turn. */
  readonly apiUrl: string
  readonly apiKey: Redacted.Redacted<string>
  /** The shell command that starts an agent. */
  readonly agent: string
  /** How many agents may run at once. */
  readonly maxTasks?: number
  readonly workDir: string
  /** The same machine is the same daemon, however often it connects. */
  readonly machineId: string
  readonly hostname?: string
  /** Added to what agents inherit from this process. */
  readonly env?: Record<string, string>
  /** How agents start `makima`. */
  readonly makima: AgentTools.Makima
}

const maxTasksDefault = 4

/** How long a stopping daemon waits for its last reports to go out. */
const farewell = "1 second"

/** The addresses in an `apiUrl`. */
export const urlsIn = (apiUrl: string): ReadonlyArray<string> =>
  apiUrl.split(",").map((url) => url.trim()).filter((url) => url !== "")

/** Runs the daemon until the server refuses it. Interrupting it stops all agents and removes all worktrees. */
export const runNoDeps = Effect.fnUntraced(function*(options: Options) {
  const maxTasks = options.maxTasks ?? maxTasksDefault
  const tools = yield* AgentTools.install(options.workDir, options.makima)
  const heartbeatMillis = yield* HeartbeatMillis
  const outbox = Outbox.make(heartbeatMillis)
  const apiUrls = urlsIn(options.apiUrl)
  /** The server that the daemon is connected to, or was: that is where agents find it. */
  let server: ServerConnection.Server = { apiUrl: apiUrls[0]!, acknowledges: false }
  let connected = false
  const tasks = yield* AgentTasks.make({
    agent: options.agent,
    maxTasks,
    environment: (spawn, ceiling) => environmentOf(options, server.apiUrl, tools, spawn, ceiling),
    outbox,
    isConnected: () => connected
  })

  const onFrame = (frame: ServerConnection.Frame): Effect.Effect<void> => {
    switch (frame.type) {
      case "authenticated":
      case "heartbeat":
        return Effect.void
      case "reported":
        return Effect.sync(() => outbox.reported(frame.taskId, frame.handOver))
      case "spawnTask":
        return tasks.accept(frame)
      case "interruptTask":
        return tasks.interrupt(frame.taskId, frame.graceful)
    }
  }

  const session = Effect.fnUntraced(function*(send: ServerConnection.Send, to: ServerConnection.Server) {
    server = to
    const heartbeat = Effect.suspend(() => {
      const ended = outbox.finals().map(({ taskId }) => taskId)
      return send({ type: "heartbeat", activeTasks: [...new Set([...tasks.ids(), ...ended])] })
    })
    const sendAll = Effect.gen(function*() {
      for (const frame of outbox.take(yield* Clock.currentTimeMillis, to.acknowledges)) yield* send(frame)
    })
    outbox.recall(yield* Clock.currentTimeMillis)
    // What was said last and is not acknowledged comes first: the server does not miss what it is hearing of.
    if (to.acknowledges) yield* sendAll
    // The server learns which tasks are still here before it hears how some of them ended, and what is left then.
    yield* heartbeat
    if (outbox.finals().length > 0) yield* Effect.andThen(sendAll, heartbeat)
    connected = true
    return yield* Effect.raceFirst(
      Effect.forever(Effect.andThen(outbox.ready, sendAll)),
      Effect.forever(Effect.andThen(Effect.sleep(heartbeatMillis), heartbeat))
    )
  }, Effect.ensuring(Effect.sync(() => connected = false)))

  const stop = Effect.gen(function*() {
    yield* tasks.stop
    const said = Effect.sync(() => !connected || outbox.isSaid())
    yield* Effect.timeoutOption(
      Effect.repeat(said, { until: (done) => done, schedule: Schedule.spaced("10 millis") }),
      farewell
    )
  })

  const connection = yield* Effect.forkScoped(ServerConnection.run({
    apiUrls,
    authenticate: () => ({
      type: "authenticate",
      apiKey: Redacted.value(options.apiKey),
      machineId: options.machineId,
      hostname: options.hostname ?? hostname(),
      maxConcurrentTasks: maxTasks,
      acknowledgements: true
    }),
    onFrame,
    session
  }))
  // Registered last, so it comes first: while agents are stopped, the connection still takes their reports.
  yield* Effect.addFinalizer(() => stop)
  return yield* Fiber.join(connection)
}, Effect.scoped)

/** `runNoDeps` with all that it needs on this machine. */
export const run = (options: Options) =>
  runNoDeps(options).pipe(
    Effect.provide(Worktrees.layer(options.workDir)),
    Effect.provide([NodeServices.layer, NodeSocket.layerWebSocketConstructor])
  )

/** A daemon beside the rest of a program. That the server refuses it is logged, and nothing else. */
export const layer = (options: Options) =>
  Layer.effectDiscard(
    run(options).pipe(
      Effect.catch((error) => Effect.logError(`The local daemon has ended: ${error.message}`)),
      Effect.forkScoped
    )
  )
