/**
 * Makes each mistake of `mutants.ts` in a copy of the sources, and has the simulator look for it:
 * `npm run mutants -- --only a,b --seeds 2000 --jobs 2`. First come the same seeds of the code as it is, which have to be
 * clean; `--only control` is that alone, and `--trust` leaves it out. What came of it is written into `docs/mutants.md`.
 */
import { join } from "node:path"
import process from "node:process"
import { parseArgs } from "node:util"
import { attempt, type Outcome } from "./attempt.ts"
import { mutants } from "./mutants.ts"
import { record } from "./table.ts"

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    first: { type: "string", default: "1" },
    seeds: { type: "string", default: "2000" },
    seconds: { type: "string", default: "3600" },
    jobs: { type: "string", default: "2" },
    trust: { type: "boolean", default: false },
    dry: { type: "boolean", default: false }
  }
})
const root = join(import.meta.dirname, "../..")
const bounds = { firstSeed: Number(values.first), seeds: Number(values.seeds), seconds: Number(values.seconds) }
const control = "control"
const only = values.only?.split(",")
const unknown = only?.filter((name) => name !== control && !mutants.some((mutant) => mutant.name === name)) ?? []
if (unknown.length > 0) throw new Error(`There are no mutants ${unknown.join(", ")}`)
const chosen = mutants.filter(({ name }) => only?.includes(name) ?? true)

const said = ({ because, found, seconds, seeds }: Outcome): string =>
  found === undefined
    ? `not found in ${seeds} seeds, ${seconds.toFixed(0)} s (${because})`
    : `found after ${seeds} seeds, ${
      seconds.toFixed(0)
    } s: ${found.profile} ${found.seed}, invariant ${found.invariant}: ` +
      because.split("\n", 1)[0]!.slice(0, 200)

if (!values.trust && (only?.includes(control) ?? true)) {
  const outcome = await attempt(root, undefined, bounds)
  console.log(`${control}: ${said(outcome)}`)
  if (outcome.found !== undefined) process.exit(1)
}

const waiting = [...chosen]
const work = async () => {
  for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
    const outcome = await attempt(root, mutant, bounds)
    console.log(`${mutant.name}: ${said(outcome)}`)
    if (!values.dry) record(join(root, "docs/mutants.md"), mutant, outcome)
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, work))
