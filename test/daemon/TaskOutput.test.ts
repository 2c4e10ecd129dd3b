import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { outputBytesMax, OutputTasksMax, TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { TaskId } from "../../src/events/Ids.ts"

const task = (digit: number) => TaskId.make(`00000000-0000-4000-8000-00000000000${digit}`)
const layerOfTwo = TaskOutput.layer.pipe(Layer.provide(Layer.succeed(OutputTasksMax, 2)))

it.effect("keeps the last 1 MiB of a task's output, in whole characters", () =>
  Effect.gen(function*() {
    const output = yield* TaskOutput
    assert.strictEqual(yield* output.read(task(1)), "")
    let written = ""
    for (let index = 0; index < 300; index++) {
      const text = `${index}: ${"é".repeat(5_000)}\n`
      written += text
      yield* output.append(task(1), text)
    }
    const kept = yield* output.read(task(1))
    assert.isTrue(written.endsWith(kept))
    assert.isAbove(Buffer.byteLength(kept), outputBytesMax - 4)
    assert.isAtMost(Buffer.byteLength(kept), outputBytesMax)
    yield* output.append(task(1), `${"x".repeat(3 * outputBytesMax)}end`)
    const last = yield* output.read(task(1))
    assert.deepStrictEqual([last.length, last.slice(-4)], [outputBytesMax, "xend"])
  }).pipe(Effect.provide(TaskOutput.layer)))

it.effect("forgets the task that has been silent longest", () =>
  Effect.gen(function*() {
    const output = yield* TaskOutput
    yield* output.append(task(1), "one")
    yield* output.append(task(2), "two")
    yield* output.append(task(1), " more")
    yield* output.append(task(3), "three")
    const kept = yield* Effect.forEach([1, 2, 3], (digit) => output.read(task(digit)))
    assert.deepStrictEqual(kept, ["one more", "", "three"])
  }).pipe(Effect.provide(layerOfTwo)))

it.effect("shows what there is and what comes, until the end, with nothing twice and nothing left out", () =>
  Effect.gen(function*() {
    const output = yield* TaskOutput
    const ended = yield* Deferred.make<void>()
    yield* output.append(task(1), "a")
    const watching = yield* Effect.forkChild(
      Stream.mkString(output.watch(task(1), Deferred.await(ended))),
      { startImmediately: true }
    )
    for (const text of ["b", "c", "d"]) {
      yield* output.append(task(1), text)
      yield* output.append(task(2), "not this")
      yield* Effect.yieldNow
    }
    yield* output.append(task(1), "e")
    yield* Deferred.succeed(ended, undefined)
    assert.strictEqual(yield* Fiber.join(watching), "abcde")
  }).pipe(Effect.provide(TaskOutput.layer)))
