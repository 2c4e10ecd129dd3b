/** `npm run golden`: writes the golden log of the version in package.json, and what it folds to, unless it is released. */
import { existsSync, writeFileSync } from "node:fs"
import * as Folds from "./folds.ts"
import { isReleased, logFile, packageVersion, read, statesFile, statesOf, write } from "./golden.ts"
import { missing, stories } from "./stories.ts"

const version = packageVersion()
const events = stories()
const untold = missing(events)
const locked = Folds.readFolds()
if (locked !== undefined && Folds.changed(locked, Folds.foldsNow()).length > 0) {
  console.error(Folds.advice)
  process.exitCode = 1
} else if (existsSync(logFile(version)) && isReleased(version)) {
  Folds.writeFolds(Folds.foldsNow())
  console.error(`${version} is released, and logs like its golden one are out there: it stays as it is`)
  process.exitCode = 1
} else if (untold.length > 0) {
  console.error(`No story in test/golden/stories.ts has ${untold.join(", ")}`)
  process.exitCode = 1
} else {
  const lines = events.map(write)
  writeFileSync(logFile(version), lines.map((line) => `${line}\n`).join(""))
  writeFileSync(statesFile(version), `${JSON.stringify(statesOf(lines.map(read)), null, 2)}\n`)
  Folds.writeFolds(Folds.foldsNow())
  console.log(`${events.length} events in test/golden/${version}.jsonl`)
}
