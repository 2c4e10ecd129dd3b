/**
 * What a daemon has to say, until it has been said: reports, all of them and in order, and the latest output.
 *
 * A frame that was written just before a connection broke may have gone with it. So a report stays here for a while after
 * it was written, and is said again on the next connection: the server takes no harm from hearing a report twice. A final
 * one stays until the server has acknowledged it, where the server does that: it may hear a report and die with it.
 */
import { Effect, Latch } from "effect"
import type { TaskId } from "../../events/Ids.ts"
import type { DaemonFrame } from "../Protocol.ts"
import * as Ended from "./ended.ts"

type Report = Ended.Report
type Output = Extract<DaemonFrame, { readonly type: "taskOutput" }>

/** The output of a task that is kept while it cannot be sent, in UTF-16 units. */
export const outputLengthMax = 1024 * 1024

/** The output in one frame. However it is escaped, such a frame is under the protocol's limit. */
const frameLengthMax = 32 * 1024

/** Output is gathered for this long, so that a chatty agent is not a flood of frames. */
const outputPause = "50 millis"

interface Written {
  readonly report: Report
  readonly at: number
  /** It stays until it is acknowledged. */
  readonly awaits: boolean
}

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

export type Outbox = ReturnType<typeof make>

export const make = (heartbeatMillis: number) => {
  // The server notices a dead connection in this time, and so do we.
  const unconfirmedMillis = 3 * heartbeatMillis
  const urgent = Latch.makeUnsafe(false)
  const soon = Latch.makeUnsafe(false)
  let waiting: Array<Report | Output> = []
  let written: ReadonlyArray<Written> = []
  const ended = Ended.make()
  const lengths = new Map<TaskId, number>()

  const grow = (taskId: TaskId, length: number) => {
    const total = (lengths.get(taskId) ?? 0) + length
    if (total === 0) lengths.delete(taskId)
    else lengths.set(taskId, total)
  }

  const report = (frame: Report): void => {
    waiting.push(frame)
    ended.remember(frame)
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

  const mayBeLost = (now: number) => ({ at, awaits }: Written): boolean => awaits || now - at < unconfirmedMillis

  /** Everything that waits, in order. It counts as written from now on, to a server that acknowledges or does not. */
  const take = (now: number, acknowledges: boolean): ReadonlyArray<Report | Output> => {
    const taken = waiting
    waiting = []
    lengths.clear()
    urgent.closeUnsafe()
    soon.closeUnsafe()
    const reports = taken.filter((frame) => frame.type !== "taskOutput")
    written = [
      ...written.filter(mayBeLost(now)),
      ...reports.map((report) => ({ report, at: now, awaits: acknowledges && Ended.isFinal(report) }))
    ]
    return taken
  }

  /** Puts what may have been lost with the last connection before what waits. */
  const recall = (now: number): void => {
    const lost = written.filter(mayBeLost(now)).map(({ report }) => report)
    written = []
    waiting = [...lost, ...waiting]
    if (waiting.length > 0) urgent.openUnsafe()
  }

  /** The server has dealt with the last report of a hand-over: in the log it is, or nowhere. */
  const reported = (taskId: TaskId, handOver: number | undefined): void => {
    written = written.filter(({ awaits, report }) =>
      !awaits || report.taskId !== taskId || report.handOver !== handOver
    )
  }

  /** The final reports that wait. */
  const finals = (): ReadonlyArray<Report> =>
    waiting.filter((frame): frame is Report => frame.type !== "taskOutput" && Ended.isFinal(frame))

  return {
    report,
    output,
    outputLength,
    take,
    recall,
    finals,
    reported,
    /** How a hand-over ended, while that is remembered. */
    finalOf: ended.find,
    /** Nothing waits, neither to be said nor to be acknowledged. */
    isSaid: () => waiting.length === 0 && !written.some(({ awaits }) => awaits),
    /** Waits until there is something to take: at once for a report, a little later for output. */
    ready: Effect.raceFirst(urgent.await, Effect.andThen(soon.await, Effect.sleep(outputPause)))
  }
}
