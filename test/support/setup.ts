/** Fixes the seed of every property test, so that a red test stays red. `SEED` and `RUNS` override. */
import * as Arbitrary from "effect/Arbitrary"

Arbitrary.configureGlobal({
  check: { seed: process.env["SEED"] ?? "makima", runs: Number(process.env["RUNS"] ?? 100) }
})
