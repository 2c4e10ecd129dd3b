/**
 * What agents wrote: the last 1 MiB of each task's output, beside the log and lost with this process.
 *
 * The tasks that wrote most recently are kept; nobody has to say when a task has ended.
 */
import { Context, Effect, Fiber, Layer, Option, PubSub, Stream } from "effect"
import type { TaskId } from "../events/Ids.ts"

export const outputBytesMax = 1024 * 1024

/** Of how many tasks output is kept. */
export const OutputTasksMax = Context.Reference("makima-runtime/daemon/OutputTasksMax", { defaultValue: () => 200 })

export class TaskOutput extends Context.Service<TaskOutput, {
  append(taskId: TaskId, text: string): Effect.Effect<void>
  /** What is kept of a task's output; empty when nothing is. */
  read(taskId: TaskId): Effect.Effect<string>
  /** What is kept, and then what comes until `ended`. Who reads too slowly misses what is no longer kept. */
  watch(taskId: TaskId, ended?: Effect.Effect<unknown>): Stream.Stream<string>
}>()("makima-runtime/daemon/TaskOutput") {
  static readonly layer = Layer.effect(
    TaskOutput,
    Effect.gen(function*() {
      const tasksMax = yield* OutputTasksMax
      // The order of the map is the order in which tasks last wrote.
      const tails = new Map<TaskId, Tail>()
      // Says only that somebody wrote, so that it need not hold more than one of it.
      const written = yield* PubSub.sliding<void>(1)

      const since = (taskId: TaskId, offset: number) => tails.get(taskId)?.since(offset) ?? { text: "", offset }

      return TaskOutput.of({
        append: (taskId, text) =>
          Effect.suspend(() => {
            const tail = tails.get(taskId) ?? new Tail()
            tail.append(Buffer.from(text))
            tails.delete(taskId)
            tails.set(taskId, tail)
            for (const oldest of tails.keys()) {
              if (tails.size <= tasksMax) break
              tails.delete(oldest)
            }
            return Effect.asVoid(PubSub.publish(written, undefined))
          }),
        read: (taskId) => Effect.sync(() => since(taskId, 0).text),
        watch: (taskId, ended = Effect.never) =>
          Stream.unwrap(Effect.gen(function*() {
            // Subscribed before the first look, so that nothing is written unnoticed in between.
            const wakeUps = yield* PubSub.subscribe(written)
            const over = yield* Effect.forkScoped(ended)
            return Stream.paginate(0, (offset) =>
              Effect.gen(function*() {
                while (true) {
                  // What was written before the end is seen, because the end is looked at first.
                  const isOver = over.pollUnsafe() !== undefined
                  const next = since(taskId, offset)
                  if (next.text !== "") return [[next.text], Option.some(next.offset)] as const
                  if (isOver) return [[], Option.none()] as const
                  yield* Effect.raceFirst(PubSub.take(wakeUps), Fiber.await(over))
                }
              }))
          }))
      })
    })
  )
}

/** The end of what was written. Offsets count from the very first byte. */
class Tail {
  private bytes = Buffer.alloc(4096)
  private length = 0
  /** How many bytes were written before those in `bytes`. */
  private dropped = 0

  append(data: Buffer): void {
    if (this.length + data.length > this.bytes.length) this.makeRoom(data.length)
    const kept = data.subarray(Math.max(0, data.length - outputBytesMax))
    this.dropped += data.length - kept.length
    kept.copy(this.bytes, this.length)
    this.length += kept.length
  }

  since(offset: number): { readonly text: string; readonly offset: number } {
    const end = this.dropped + this.length
    // An offset from before the task was forgotten says nothing about what it wrote since.
    const known = offset > end ? 0 : offset
    let start = Math.max(known - this.dropped, this.length - outputBytesMax, 0)
    // A character whose beginning is gone is left out.
    while (start < this.length && (this.bytes[start]! & 0xc0) === 0x80) start += 1
    return { text: this.bytes.toString("utf8", start, this.length), offset: end }
  }

  /** The room is twice of what is kept, so that moving it to the front is rare. */
  private makeRoom(wanted: number): void {
    if (this.bytes.length < 2 * outputBytesMax) {
      const larger = Buffer.alloc(Math.min(2 * outputBytesMax, 2 * (this.length + wanted)))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    if (this.length + Math.min(wanted, outputBytesMax) <= this.bytes.length) return
    const kept = Math.max(0, Math.min(this.length, outputBytesMax - wanted))
    this.bytes.copyWithin(0, this.length - kept, this.length)
    this.dropped += this.length - kept
    this.length = kept
  }
}
