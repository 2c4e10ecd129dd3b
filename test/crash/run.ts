/**
 * Kills the server of the example's run at random moments, as often as it is told: `npm run crash -- --times 100 --seed 7`.
 * Each time is a run of its own, with a seed of its own that `--times 1 --seed <seed>` repeats.
 */
import { parseArgs } from "node:util"
import { randomOf, type Report, wreck } from "./wreck.ts"

const { values } = parseArgs({
  options: {
    times: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    within: { type: "string", default: "4000" }
  }
})
const times = Number(values.times)
const first = Number(values.seed)
console.log(`${times} runs from seed ${first}`)

const reports: Array<Report> = []
let failed = 0
for (let seed = first; seed < first + times; seed++) {
  const kills = 1 + Math.floor(randomOf(seed ^ 0x5eed)() * 3)
  try {
    const report = await wreck({ seed, kills, killWithinMillis: Number(values.within) })
    reports.push(report)
    const moments = report.kills.map(({ agents, at }) => `${(at / 1000).toFixed(1)} s (${agents} agents begun)`)
    console.log(`seed ${seed}: well after ${(report.millis / 1000).toFixed(1)} s, killed at ${moments.join(", ")}`)
  } catch (error) {
    failed += 1
    console.error(error instanceof Error ? error.message : error)
  }
}
const kills = reports.reduce((sum, report) => sum + report.kills.length, 0)
const spread = Array.from(
  { length: 10 },
  (_, agents) => reports.flatMap((report) => report.kills).filter((kill) => kill.agents === agents).length
)
console.log(`${reports.length} of ${times} runs went well, with ${kills} kills; by agents begun: ${spread.join(" ")}`)
process.exitCode = failed === 0 ? 0 : 1
