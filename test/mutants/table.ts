/** `docs/mutants.md`: one row for each mutant, as it was last measured. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import type { Outcome } from "./attempt.ts"
import type { Mutant } from "./Mutant.ts"
import { mutants } from "./mutants.ts"

const head = [
  "| mutant | what is wrong | file | seeds to find it | found by | measured |",
  "| --- | --- | --- | --- | --- | --- |"
]
const survived = "not found"

const rowOf = (mutant: Mutant, { found, seeds }: Outcome): string => {
  const by = found === undefined ? survived : `${found.profile} ${found.seed}, invariant ${found.invariant}`
  const count = found === undefined ? `more than ${seeds}` : String(seeds)
  const today = new Date().toISOString().slice(0, 10)
  return `| ${[mutant.name, mutant.wrong, `\`${mutant.file}\``, count, by, today].join(" | ")} |`
}

/** Puts the row of a mutant into the table. The others stay, unless there is no such mutant any more. */
export const record = (path: string, mutant: Mutant, outcome: Outcome): void => {
  const rows = new Map<string, string>()
  if (existsSync(path)) {
    for (const line of readFileSync(path, "utf8").split("\n")) {
      const name = /^\| ([a-z-]+) \|/.exec(line)?.[1]
      if (name !== undefined) rows.set(name, line)
    }
  }
  rows.set(mutant.name, rowOf(mutant, outcome))
  const lines = mutants.flatMap(({ name }) => rows.get(name) ?? [])
  const missed = mutants.filter(({ name }) => rows.get(name)?.includes(`| ${survived} |`)).map(({ name }) => name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${textOf(lines, missed)}\n`)
}

const textOf = (lines: ReadonlyArray<string>, missed: ReadonlyArray<string>): string => {
  const found = lines.length - missed.length
  return [
    "# What the simulator finds",
    "",
    "Each mutant is one small wrong change to the code that the simulator runs. `npm run mutants -- --seeds 2000` makes them",
    "one at a time in a copy of the sources and runs seeds from 1 on, the profiles calm, rough, storm, partition and crash in",
    "turn, until an invariant fails. The same seeds of the code as it is come first, and have to be clean. `--only <names>`",
    "measures some of them anew. `--seconds` bounds each, so where none was found there may have been fewer seeds than that:",
    "the table says how many. The invariants have the numbers of section 10 of the specification, or names of their own: each",
    "is a file in `src/simulation/invariants/`.",
    "",
    `**${found} of ${lines.length} are found (${(100 * found / lines.length).toFixed(1)} %).**` +
    (missed.length === 0 ? "" : ` Not found: ${missed.join(", ")}.`),
    "",
    ...head,
    ...lines
  ].join("\n")
}
