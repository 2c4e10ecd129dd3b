/**
 * The worker on this machine: takes tasks from the server and has agents do them in worktrees.
 *
 * It decides nothing about tasks. It outlives the server's restarts: agents go on, and what there is to report waits in
 * the outbox. It never outlives itself: when it stops, no agent and no worktree is left.
 */
import { NodeServices, NodeSocket } from "@effect/platform-node"
import { Cause, Clock, Effect, Exit, Fiber, FileSystem, Layer, Path, Redacted, Schedule } from "effect"
import { hostname } from "node:os"
import type { TaskId } from "../events/Ids.ts"
import * as AgentProcess from "./AgentProcess.ts"
import { environmentOf } from "./internal/agentEnvironment.ts"
import * as AgentTools from "./internal/agentTools.ts"
import * as Outbox from "./internal/outbox.ts"
import * as ServerConnection from "./internal/serverConnection.ts"
import { HeartbeatMillis, type SpawnTask } from "./Protocol.ts"
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

interface Task {
  readonly spawn: SpawnTask
  /** Of the latest frame that asked for this task: the hand-over that reports belong to. */
  handOver: number
  status: "starting" | "running"
  fiber: Fiber.Fiber<void> | undefined
  kill: Effect.Effect<void>
}

const maxTasksDefault = 4

/** Output that may wait for a connected server before the agent has to. */
const outputLengthSoft = 256 * 1024

/** How long a stopping daemon waits for its last reports to go out. */
const farewell = "1 second"

/** The addresses in an `apiUrl`. */
export const urlsIn = (apiUrl: string): ReadonlyArray<string> =>
  apiUrl.split(",").map((url) => url.trim()).filter((url) => url !== "")

/** Runs the daemon until the server refuses it. Interrupting it stops all agents and removes all worktrees. */
export const runNoDeps = Effect.fnUntraced(function*(options: Options) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const worktrees = yield* Worktrees
  const scope = yield* Effect.scope
  const maxTasks = options.maxTasks ?? maxTasksDefault
  const tools = yield* AgentTools.install(options.workDir, options.makima)
  const heartbeatMillis = yield* HeartbeatMillis
  const outbox = Outbox.make(heartbeatMillis)
  const apiUrls = urlsIn(options.apiUrl)
  /** The server that the daemon is connected to, or was: that is where agents find it. */
  let server: ServerConnection.Server = { apiUrl: apiUrls[0]!, acknowledges: false }
  const tasks = new Map<TaskId, Task>()
  /** Those of `tasks`, and those that have reported and are tidying up. */
  const fibers = new Set<Fiber.Fiber<void>>()
  let connected = false
  let stopping = false

  const reportStatus = ({ handOver, spawn: { taskId }, status }: Task) =>
    outbox.report({
      type: "taskStatusChange",
      taskId,
      oldStatus: status === "starting" ? "pending" : "starting",
      newStatus: status,
      handOver
    })

  const reportEnd = Effect.fnUntraced(function*(task: Task, exit: Exit.Exit<void, { readonly message: string }>) {
    const { handOver, spawn: { taskId }, status } = task
    tasks.delete(taskId)
    if (Exit.isSuccess(exit)) {
      outbox.report({ type: "taskComplete", taskId, success: true, handOver })
      return yield* Effect.logInfo("The task is done")
    }
    if (Cause.hasInterruptsOnly(exit.cause)) {
      outbox.report({ type: "taskStatusChange", taskId, oldStatus: status, newStatus: "interrupted", handOver })
      return yield* Effect.logInfo("The task was interrupted")
    }
    const error = Cause.squash(exit.cause)
    const reason = error instanceof Error ? error.message : String(error)
    outbox.report({ type: "taskComplete", taskId, success: false, error: reason, handOver })
    // What follows the first line is the agent's own words, which may be anything.
    yield* Effect.logInfo(`The task failed: ${reason.split("\n")[0]}`)
  })

  const output = Effect.fnUntraced(function*(task: Task, text: string) {
    const { taskId } = task.spawn
    // A slow server slows the agent down. A server that is away does not: then the oldest output is dropped.
    const isCrowded = () => connected && outbox.outputLength(taskId) > outputLengthSoft
    while (isCrowded()) yield* Effect.sleep("20 millis")
    outbox.output(taskId, task.handOver, text)
  })

  const work = Effect.fnUntraced(function*(task: Task) {
    const { spawn } = task
    const worktree = yield* worktrees.acquire(spawn)
    yield* AgentProcess.run({
      command: options.agent,
      cwd: worktree.path,
      env: environmentOf(options, server.apiUrl, tools, spawn, paths.dirname(worktree.path)),
      prompt: spawn.plan,
      onStart: ({ kill, pid }) =>
        Effect.suspend(() => {
          task.kill = kill
          task.status = "running"
          reportStatus(task)
          return Effect.logInfo(`Agent ${pid} has started`)
        }),
      onOutput: (text) => output(task, text)
    })
    yield* worktree.finish
  })

  const accept = Effect.fnUntraced(function*(spawn: SpawnTask) {
    const { handOver, taskId } = spawn
    const known = tasks.get(taskId)
    if (known !== undefined) {
      known.handOver = Math.max(known.handOver, handOver)
      return reportStatus(known)
    }
    const ended = outbox.finalOf(taskId, handOver)
    if (ended !== undefined) return outbox.report(ended)
    if (stopping) {
      return outbox.report({
        type: "taskStatusChange",
        taskId,
        oldStatus: "pending",
        newStatus: "interrupted",
        handOver
      })
    }
    if (tasks.size >= maxTasks) {
      const error = `at capacity: this daemon runs at most ${maxTasks} task${maxTasks === 1 ? "" : "s"} at once`
      return outbox.report({ type: "taskComplete", taskId, success: false, error, handOver })
    }
    const task: Task = { spawn, handOver, status: "starting", fiber: undefined, kill: Effect.void }
    tasks.set(taskId, task)
    reportStatus(task)
    // The report comes before the worktree is removed: the server need not wait for that.
    const fiber = yield* work(task).pipe(
      Effect.onExit((exit) => reportEnd(task, exit)),
      Effect.scoped,
      Effect.ignoreCause,
      Effect.annotateLogs({ taskId }),
      Effect.provideService(FileSystem.FileSystem, fs),
      // Begun at once: an interruption that comes first would find nobody to report it.
      Effect.forkIn(scope, { startImmediately: true })
    )
    task.fiber = fiber
    fibers.add(fiber)
    fiber.addObserver(() => fibers.delete(fiber))
  })

  const interrupt = Effect.fnUntraced(function*(taskId: TaskId, graceful: boolean) {
    const task = tasks.get(taskId)
    if (task === undefined) return yield* Effect.logDebug("Asked to interrupt a task that is not here", { taskId })
    task.fiber?.interruptUnsafe()
    if (!graceful) yield* task.kill
  })

  const onFrame = (frame: ServerConnection.Frame): Effect.Effect<void> => {
    switch (frame.type) {
      case "authenticated":
      case "heartbeat":
        return Effect.void
      case "reported":
        return Effect.sync(() => outbox.reported(frame.taskId, frame.handOver))
      case "spawnTask":
        return accept(frame)
      case "interruptTask":
        return interrupt(frame.taskId, frame.graceful)
    }
  }

  const session = Effect.fnUntraced(function*(send: ServerConnection.Send, to: ServerConnection.Server) {
    server = to
    const heartbeat = Effect.suspend(() => {
      const ended = outbox.finals().map(({ taskId }) => taskId)
      return send({ type: "heartbeat", activeTasks: [...new Set([...tasks.keys(), ...ended])] })
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
    stopping = true
    yield* Fiber.interruptAll([...fibers])
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
