/** A run that failed, told for people, and as a test that can be pasted. */
import { human } from "../replay/LogLine.ts"
import { timeText } from "./internal/faults.ts"
import type { Outcome } from "./Simulation.ts"

const eventsMax = 12
const lineCharsMax = 200

/** What happened, at which virtual time, what should have held, and what did not. */
export const story = (outcome: Outcome): string => {
  const { events, happened, notes, profile, seed, violation } = outcome
  if (violation === undefined) return `Seed ${seed} of ${profile}: everything holds.`
  const told = [...happened, ...notes].sort((a, b) => a.at - b.at)
  const last = events.slice(-eventsMax).map((recorded) => `  ${cut(human(recorded))}`)
  return [
    `Seed ${seed} of ${profile}: invariant ${violation.invariant} does not hold at ${timeText(violation.at)}.`,
    `  ${violation.says}`,
    `  expected: ${violation.expected}`,
    `  found:    ${violation.found}`,
    told.length === 0 ? "Nothing went wrong before." : "What users did and what went wrong:",
    ...told.map(({ at, text }) => `  ${timeText(at)}  ${cut(text)}`),
    "The last events:",
    ...last
  ].join("\n")
}

const cut = (line: string): string => line.length > lineCharsMax ? `${line.slice(0, lineCharsMax - 1)}…` : line

/** A test that fails for as long as the invariant does. `only` are the keys of what has to happen, if that is known. */
export const test = ({ profile, seed, violation }: Outcome, only?: ReadonlyArray<string>): string => {
  const name = `holds invariant ${violation?.invariant}: seed ${seed} of ${profile}`
  const keys = only === undefined || only.length === 0
    ? undefined
    : only.map((key) => `      ${JSON.stringify(key)}`).join(",\n")
  const set = only === undefined ? "" : keys === undefined ? ", only: new Set()" : `, only: new Set([\n${keys}\n    ])`
  return [
    `it(${JSON.stringify(name)}, () => {`,
    `    const { violation } = run({ seed: ${seed}, profile: ${JSON.stringify(profile)}${set} })`,
    "    assert.isUndefined(violation, violation?.message)",
    "})"
  ].join("\n").replaceAll("\n    const", "\n  const").replaceAll("\n    assert", "\n  assert")
}
