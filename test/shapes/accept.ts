/** `npm run shapes`: accepts new event types, versions and optional fields, and refuses what would break a stored event. */
import * as Vocabulary from "../../src/events/Vocabulary.ts"
import { compare } from "./compare.ts"
import { lockOf } from "./describe.ts"
import { readLock, writeLock } from "./lock.ts"

const today = lockOf(Vocabulary.shapes)
const differences = compare(readLock(), today)
const troubles = differences.filter(({ isHarmless }) => !isHarmless)
for (const { sentence } of troubles) console.error(sentence)
if (troubles.length > 0) {
  process.exitCode = 1
} else {
  writeLock(today)
  for (const { sentence } of differences) console.log(sentence.replace(/ Run .*/, " Accepted."))
  console.log(`${Object.keys(today).length} event types in test/shapes/shapes.lock.json`)
}
