/**
 * What one daemon has reported, on its way to the directives: each task's reports in a line of their own, so that one
 * directive's trouble stops no other.
 *
 * Where the log is away, a report is tried again and again. Where its directive is parked, it waits for that to be resumed, and
 * tries nothing meanwhile. A daemon that connects anew says again what may have been lost, so those of its earlier
 * connections that wait are given up for the same ones of the new connection, to which the answer goes.
 */
import { Effect, FiberSet, Result, type Scope, Semaphore } from "effect"
import { Daemons } from "../../actors/Daemons.ts"
import { Directives } from "../../actors/DirectiveActor.ts"
import type { Report as ReportOfDaemon } from "../../actors/DirectiveCommand.ts"
import type { DaemonId, DirectiveId, OwnerId, TaskId } from "../../events/Ids.ts"
import type { ServerFrame } from "../Protocol.ts"

export type Report = Omit<ReportOfDaemon, "daemonId">

export interface Source {
  readonly ownerId: OwnerId
  readonly daemonId: DaemonId
  /** It wants to hear when a final report was dealt with. */
  readonly acknowledges: boolean
  readonly send: (frame: ServerFrame) => Effect.Effect<boolean>
  /** The directive of a task of its owner, if there is such a task. */
  readonly directiveOf: (taskId: TaskId) => Effect.Effect<DirectiveId | undefined>
}

export interface Reports {
  /** Puts a report into the line of its task. What a daemon has reported it will not report again. */
  readonly take: (report: Report) => Effect.Effect<void>
  /** Tells the daemon that it has no such task. */
  readonly refuse: (taskId: TaskId) => Effect.Effect<void>
  /** Waits until nothing is on its way. */
  readonly handled: Effect.Effect<void>
}

/** How many may wait for their directives. */
const waitingMax = 256

const retryMillis = 1_000

export const make = Effect.fnUntraced(function*(
  { acknowledges, daemonId, directiveOf, ownerId, send }: Source
): Effect.fn.Return<Reports, never, Daemons | Directives | Scope.Scope> {
  const daemons = yield* Daemons
  const directives = yield* Directives
  const underWay = yield* FiberSet.make()
  const lines = new Map<TaskId, Semaphore.Semaphore>()
  const places = yield* Semaphore.make(waitingMax)

  const take = Effect.fnUntraced(function*(report: Report) {
    const { taskId } = report
    const line = lines.get(taskId) ?? Semaphore.makeUnsafe(1)
    lines.set(taskId, line)
    const isDelivered = daemons.reporting(ownerId, daemonId, taskId)
    daemons.acknowledge(ownerId, daemonId, taskId)
    yield* places.take(1)
    yield* deliver(report).pipe(
      line.withPermit,
      Effect.ensuring(Effect.suspend(() => {
        isDelivered()
        if (!daemons.isReporting(ownerId, daemonId, taskId)) lines.delete(taskId)
        return places.release(1)
      })),
      Effect.annotateLogs({ daemonId, taskId }),
      FiberSet.run(underWay, { startImmediately: true })
    )
  })

  const deliver = Effect.fnUntraced(function*(report: Report) {
    const { handOver, taskId } = report
    const directiveId = yield* directiveOf(taskId)
    if (directiveId === undefined) return yield* Effect.andThen(refuse(taskId), settle(report))
    const outcome = yield* record(directiveId, report).pipe(
      Effect.tap((outcome) => outcome === "repeated" ? Effect.void : settle(report)),
      Effect.catchDefect((defect) =>
        Effect.as(Effect.logError("A report could not be handled", defect), "refused" as const)
      )
    )
    if (outcome === "repeated" || !isFinal(report)) return
    // What is refused may be of a hand-over that never was, which says nothing of one that was: the next heartbeat does.
    daemons.finished(ownerId, daemonId, taskId, outcome === "refused" ? 0 : handOver)
  })

  /** Until it is in the log or refused. "repeated" when the daemon has said the same again on another connection. */
  const record = Effect.fnUntraced(function*(directiveId: DirectiveId, report: Report) {
    let waitsFor: string | undefined
    while (true) {
      const asked = yield* Effect.result(
        directives.ask(directiveId, { _tag: "ReportTask", daemonId, ...report }, { ownerId })
      )
      if (Result.isSuccess(asked)) return "recorded" as const
      const error = asked.failure
      if (error._tag !== "ActorUnavailable") {
        yield* refuse(report.taskId)
        return "refused" as const
      }
      if (waitsFor !== error.because) {
        waitsFor = error.because
        // Once for each reason: an outage may keep it waiting for long.
        yield* Effect.logWarning(`A report waits: ${error.message}`)
      }
      if (error.parked === undefined) yield* Effect.sleep(retryMillis)
      else if (!(yield* resumed(directiveId, report))) return "repeated" as const
    }
  })

  const resumed = (directiveId: DirectiveId, report: Report) =>
    Effect.raceFirst(
      Effect.as(directives.awaitResumed(directiveId), true),
      Effect.as(daemons.awaitRepeat(ownerId, daemonId, nameOf(report)), false)
    )

  /** A final report is in the log, or will never be: its daemon may forget it. */
  const settle = (report: Report) =>
    acknowledges && isFinal(report)
      ? Effect.asVoid(send({ type: "reported", taskId: report.taskId, ...handOverOf(report) }))
      : Effect.void

  const refuse = (taskId: TaskId) =>
    Effect.asVoid(
      send({ type: "error", code: "not_your_task", message: `Task ${taskId} was not handed to this daemon` })
    )

  return { take, refuse, handled: FiberSet.awaitEmpty(underWay) }
})

const isFinal = ({ status }: Report): boolean => status !== "starting" && status !== "running"

const nameOf = ({ handOver, status, taskId }: Report): string => `${taskId} ${handOver} ${status}`

export const handOverOf = (
  { handOver }: { readonly handOver?: number | undefined }
) => (handOver === undefined ? {} : { handOver })
