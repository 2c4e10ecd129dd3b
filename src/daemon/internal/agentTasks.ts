/**
 * The tasks that the local daemon does: each by one agent in a worktree of its own, however often it is handed over.
 *
 * Whatever becomes of a task, its end is reported. The report comes before the worktree is removed: the server need not
 * wait for that.
 */
import { Effect, type Exit, Fiber, FileSystem, Path } from "effect"
import type { TaskId } from "../../events/Ids.ts"
import * as AgentProcess from "../AgentProcess.ts"
import type { SpawnTask } from "../Protocol.ts"
import { Worktrees } from "../Worktrees.ts"
import * as Ended from "./ended.ts"
import type { Outbox } from "./outbox.ts"

export interface Options {
  /** The shell command that starts an agent. */
  readonly agent: string
  /** How many agents may run at once. */
  readonly maxTasks: number
  /** What an agent finds in its environment; git in its worktree looks for repositories no further up than `ceiling`. */
  readonly environment: (spawn: SpawnTask, ceiling: string) => Record<string, string>
  readonly outbox: Outbox
  /** Whether there is a server that takes what is in the outbox. */
  readonly isConnected: () => boolean
}

interface Task {
  readonly spawn: SpawnTask
  /** Of the latest frame that asked for this task: the hand-over that reports belong to. */
  handOver: number
  status: "starting" | "running"
  fiber: Fiber.Fiber<void> | undefined
  kill: Effect.Effect<void>
}

/** Output that may wait for a connected server before the agent has to. */
const outputLengthSoft = 256 * 1024

/** Agents run in the scope. */
export const make = Effect.fnUntraced(function*({ agent, environment, isConnected, maxTasks, outbox }: Options) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const worktrees = yield* Worktrees
  const scope = yield* Effect.scope
  const tasks = new Map<TaskId, Task>()
  /** Those of `tasks`, and those that have reported and are tidying up. */
  const fibers = new Set<Fiber.Fiber<void>>()
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
    const report = Ended.reportOf({ taskId, handOver, status }, exit)
    outbox.report(report)
    if (report.type === "taskStatusChange") return yield* Effect.logInfo("The task was interrupted")
    // What follows the first line is the agent's own words, which may be anything.
    yield* Effect.logInfo(report.success ? "The task is done" : `The task failed: ${report.error?.split("\n")[0]}`)
  })

  const output = Effect.fnUntraced(function*(task: Task, text: string) {
    const { taskId } = task.spawn
    // A slow server slows the agent down. A server that is away does not: then the oldest output is dropped.
    const isCrowded = () => isConnected() && outbox.outputLength(taskId) > outputLengthSoft
    while (isCrowded()) yield* Effect.sleep("20 millis")
    outbox.output(taskId, task.handOver, text)
  })

  const work = Effect.fnUntraced(function*(task: Task) {
    const { spawn } = task
    const worktree = yield* worktrees.acquire(spawn)
    yield* AgentProcess.run({
      command: agent,
      cwd: worktree.path,
      env: environment(spawn, paths.dirname(worktree.path)),
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

  /** Says of a task that is here how it stands, of one that has ended how, and begins any other. */
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

  /** Without grace, its agent is killed at once. */
  const interrupt = Effect.fnUntraced(function*(taskId: TaskId, graceful: boolean) {
    const task = tasks.get(taskId)
    if (task === undefined) return yield* Effect.logDebug("Asked to interrupt a task that is not here", { taskId })
    task.fiber?.interruptUnsafe()
    if (!graceful) yield* task.kill
  })

  return {
    accept,
    interrupt,
    /** Those that have not ended. */
    ids: (): Iterable<TaskId> => tasks.keys(),
    /** Begins no more, interrupts all, and waits until they have tidied up. */
    stop: Effect.suspend(() => {
      stopping = true
      return Fiber.interruptAll([...fibers])
    })
  }
})
