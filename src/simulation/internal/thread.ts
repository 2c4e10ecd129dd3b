/** A thread that runs one seed after the other, as `Parallel.ts` sends them. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
import { Effect } from "effect"
import { WorkerRunner } from "effect/workers"
import { workerData } from "node:worker_threads"
import { Coverage } from "../Coverage.ts"
import type { Ran } from "../Parallel.ts"
import type { Profile } from "../Profile.ts"
import { run } from "../Simulation.ts"

const profile = workerData as Profile

const ran = (seed: number): Ran => {
  const coverage = new Coverage(profile)
  const outcome = run({ seed, profile })
  coverage.add(outcome)
  return { seed, millis: outcome.millis, reached: coverage.reached, isFailed: outcome.violation !== undefined }
}

const serve = Effect.gen(function*() {
  const { start } = yield* WorkerRunner.WorkerRunnerPlatform
  const { run, send } = yield* start<Ran, number>()
  yield* run((port, seed) => send(port, ran(seed)))
})

NodeRuntime.runMain(Effect.provide(serve, NodeWorkerRunner.layer))
