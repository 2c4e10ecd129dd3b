/**
 * Goal: a daemon that says that a hand-over has ended that never was is not given another task for it. Found by the
 * simulator, and kept as it was told: the end of an earlier hand-over comes first, so that the later one is drained.
 */
import { assert, it } from "@effect/vitest"
import { run } from "../../src/simulation/Simulation.ts"

it("frees no slot for the end of a hand-over that never was: seed 261124142297 of storm", () => {
  const only = [
    "disconnect daemon 3 0",
    "create directive 3",
    "daemonLies 71b9a039-d676-553d-a5d4-face238b48f6 1",
    "appendSlow directive-65398d84-61cc-5205-af5d-6f1b6afa6578@6 #1",
    "frameReordered daemon 3 connection 2 4",
    "frameReordered daemon 3 connection 2 5",
    "frameReordered daemon 3 connection 2 6",
    "appendSlow directive-65398d84-61cc-5205-af5d-6f1b6afa6578@38 #1",
    "reportLate f135fc3a-2532-5828-8d48-132397a73bf2 1",
    "agentHangs d0925308-38a8-50cd-9441-a635b22cad03 1",
    "agentSilent bec6ec9b-b830-5948-8c29-1e0cb3bfe80f 1",
    "create directive 1",
    "disconnect daemon 3 1",
    "appendLate directive-65398d84-61cc-5205-af5d-6f1b6afa6578@68 #1",
    "disconnect daemon 1 0",
    "appendSlow directive-65398d84-61cc-5205-af5d-6f1b6afa6578@71 #1",
    "daemonLies f135fc3a-2532-5828-8d48-132397a73bf2 3",
    "frameReordered daemon 3 connection 3 16"
  ]
  const { violation } = run({ seed: 261_124_142_297, profile: "storm", only: new Set(only) })
  assert.isUndefined(violation, violation?.message)
})
