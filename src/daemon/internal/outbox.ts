/**
 * What a daemon has to say, until it has been said: reports, all of them and in order, and the latest output.
 *
 * The protocol has no acknowledgements, and a frame that was written just before a connection broke may have gone with
 * it. So a report stays here for a while after it was written, and is said again on the next connection: the server
 * takes no harm from hearing a report twice.
 */
import { Effect, Latch } from "effect"
import type { TaskId } from "../../events/Ids.ts"
import type { DaemonFrame } from "../Protocol.ts"

export type Report = Extract<DaemonFrame, { readonly type: "taskStatusChange" | "taskComplete" }>
type Output = Extract<DaemonFrame, { readonly type: "taskOutput" }>

/** The output of a task that is kept while it cannot be sent, in UTF-16 units. */
export const outputLengthMax = 1024 * 1024

/** The output in one frame. However it is escaped, such a frame is under the protocol's limit. */
const frameLengthMax = 32 * 1024

/** Output is gathered for this long, so that a chatty agent is not a flood of frames. */
const outputPause = "50 millis"

/** Whether a report is the last one of its hand-over. */
export const isFinal = (frame: Report): boolean => frame.type === "taskComplete" || frame.newStatus === "interrupted"

/** Frame-sized parts of a text, none of which begins or ends within a character. */
const parts = function*(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const to = from + frameLengthMax
    const last = text.charCodeAt(to - 1)
    const end = last >= 0xd800 && last < 0xdc00 && to < text.length ? to - 1 : to
    yield text.slice(from, end)
    from = end
  }
}

export const make = (heartbeatMillis: number) => {
  // The server notices a dead connection in this time, and so do we.
  const unconfirmedMillis = 3 * heartbeatMillis
  const urgent = Latch.makeUnsafe(false)
  const soon = Latch.makeUnsafe(false)
  let waiting: Array<Report | Output> = []
  let written: Array<{ readonly report: Report; readonly at: number }> = []
  const lengths = new Map<TaskId, number>()

  const grow = (taskId: TaskId, length: number) => {
    const total = (lengths.get(taskId) ?? 0) + length
    if (total === 0) lengths.delete(taskId)
    else lengths.set(taskId, total)
  }

  const report = (frame: Report): void => {
    waiting.push(frame)
    urgent.openUnsafe()
  }

  const output = (taskId: TaskId, handOver: number, text: string): void => {
    for (const part of parts(text)) {
      // Outputs of several tasks come in turns, and their order among each other says nothing.
      const index = waiting.findLastIndex((frame) => frame.taskId === taskId)
      const last = waiting[index]
      if (
        last?.type === "taskOutput" && last.handOver === handOver && last.output.length + part.length <= frameLengthMax
      ) {
        waiting[index] = { ...last, output: last.output + part }
      } else {
        waiting.push({ type: "taskOutput", taskId, output: part, isPartial: true, handOver })
      }
      grow(taskId, part.length)
    }
    while (outputLength(taskId) > outputLengthMax) {
      const oldest = waiting.findIndex((frame) => frame.type === "taskOutput" && frame.taskId === taskId)
      const [dropped] = waiting.splice(oldest, 1)
      if (dropped?.type === "taskOutput") grow(taskId, -dropped.output.length)
    }
    soon.openUnsafe()
  }

  const outputLength = (taskId: TaskId): number => lengths.get(taskId) ?? 0

  /** Everything that waits, in order. It counts as written from now on. */
  const take = (now: number): ReadonlyArray<Report | Output> => {
    const taken = waiting
    waiting = []
    lengths.clear()
    urgent.closeUnsafe()
    soon.closeUnsafe()
    written = written.filter(({ at }) => now - at < unconfirmedMillis)
    for (const frame of taken) {
      if (frame.type !== "taskOutput") written.push({ report: frame, at: now })
    }
    return taken
  }

  /** Puts what may have been lost with the last connection before what waits. */
  const recall = (now: number): void => {
    const lost = written.filter(({ at }) => now - at < unconfirmedMillis).map(({ report }) => report)
    written = []
    waiting = [...lost, ...waiting]
    if (waiting.length > 0) urgent.openUnsafe()
  }

  /** The final reports that wait. */
  const finals = (): ReadonlyArray<Report> =>
    waiting.filter((frame): frame is Report => frame.type !== "taskOutput" && isFinal(frame))

  /** How a hand-over ended, while that is remembered. */
  const finalOf = (taskId: TaskId, handOver: number): Report | undefined =>
    [...finals(), ...written.map(({ report }) => report).filter(isFinal)].find((report) =>
      report.taskId === taskId && report.handOver === handOver
    )

  return {
    report,
    output,
    outputLength,
    take,
    recall,
    finals,
    finalOf,
    isEmpty: () => waiting.length === 0,
    /** Waits until there is something to take: at once for a report, a little later for output. */
    ready: Effect.raceFirst(urgent.await, Effect.andThen(soon.await, Effect.sleep(outputPause)))
  }
}
