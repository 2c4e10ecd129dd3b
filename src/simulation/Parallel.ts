/** Runs of many seeds, side by side in threads. Each run is what it is alone. */
import * as NodeWorker from "@effect/platform-node/NodeWorker"
import { Effect } from "effect"
import { Worker } from "effect/workers"
import { extname } from "node:path"
import * as Threads from "node:worker_threads"
import type { Profile } from "./Profile.ts"

/** What a thread says of a run. A run that failed is run again where its story is told. */
export interface Ran {
  readonly seed: number
  /** For how long it went on, in virtual milliseconds. */
  readonly millis: number
  /** As in `Coverage`. */
  readonly reached: ReadonlyMap<string, number>
  readonly isFailed: boolean
}

export interface Options {
  readonly profile: Profile
  readonly threads: number
  /** The next seed to run, as long as there is one. */
  readonly next: Effect.Effect<number | undefined>
  /** Called as runs end, in no order. */
  readonly onRan: (ran: Ran) => Effect.Effect<void>
}

/** Runs all seeds that there are, and ends when the last run has. A thread that dies is a defect. */
export const runAll = ({ next, onRan, profile, threads }: Options): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: threads }, (_, id) => id),
    Effect.fnUntraced(function*(id) {
      const { spawn } = yield* Worker.WorkerPlatform
      const { run, send } = yield* spawn<Ran, number>(id)
      const go = Effect.gen(function*() {
        const seed = yield* next
        if (seed === undefined) return yield* Effect.fail("done" as const)
        yield* send(seed)
      })
      yield* go
      yield* run((ran) => Effect.andThen(onRan(ran), go))
    }, Effect.catchIf((error) => error === "done", () => Effect.void)),
    { concurrency: "unbounded", discard: true }
  ).pipe(
    Effect.provide(NodeWorker.layer(() => new Threads.Worker(threadUrl, { workerData: profile }))),
    Effect.orDie
  )

/** Beside this file, and of its kind: source, or what was made of it. */
const threadUrl = new URL(`./internal/thread${extname(import.meta.filename)}`, import.meta.url)
