/** How the latest hand-overs ended that a daemon had, so that it never starts one again that is sent to it again. */
import { Cause, Exit } from "effect"
import type { TaskId } from "../../events/Ids.ts"
import type { DaemonFrame } from "../Protocol.ts"

export type Report = Extract<DaemonFrame, { readonly type: "taskStatusChange" | "taskComplete" }>

/** How many are remembered. The server sends a hand-over again soon after its daemon has connected, or never. */
const rememberedMax = 1_000

/** Whether a report is the last one of its hand-over. */
export const isFinal = (frame: Report): boolean => frame.type === "taskComplete" || frame.newStatus === "interrupted"

export interface HandOver {
  readonly taskId: TaskId
  readonly handOver: number
  readonly status: "starting" | "running"
}

/** The last report of a hand-over whose work has ended so. */
export const reportOf = (
  { handOver, status, taskId }: HandOver,
  exit: Exit.Exit<void, { readonly message: string }>
): Report => {
  if (Exit.isSuccess(exit)) return { type: "taskComplete", taskId, success: true, handOver }
  if (Cause.hasInterruptsOnly(exit.cause)) {
    return { type: "taskStatusChange", taskId, oldStatus: status, newStatus: "interrupted", handOver }
  }
  return { type: "taskComplete", taskId, success: false, error: reasonOf(Cause.squash(exit.cause)), handOver }
}

/** A failure has a message. A defect may be anything. */
const reasonOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error)

export const make = () => {
  const reports = new Map<string, Report>()
  const keyOf = (taskId: TaskId, handOver: number | undefined) => `${taskId} ${handOver}`
  return {
    remember: (report: Report): void => {
      if (!isFinal(report)) return
      reports.set(keyOf(report.taskId, report.handOver), report)
      for (const [oldest] of reports) {
        if (reports.size <= rememberedMax) return
        reports.delete(oldest)
      }
    },
    /** The last report of a hand-over, if it has ended. */
    find: (taskId: TaskId, handOver: number): Report | undefined => reports.get(keyOf(taskId, handOver))
  }
}
