/** What has become of the stored shapes since they were locked, and whether that is any trouble for what is stored. */
import type { Description, Lock } from "./describe.ts"

export interface Difference {
  /** Whether everything that is stored can still be read, and means what it did. */
  readonly isHarmless: boolean
  readonly sentence: string
}

export const compare = (locked: Lock, today: Lock): ReadonlyArray<Difference> => {
  const types = [...new Set([...Object.keys(locked), ...Object.keys(today)])].sort()
  return types.flatMap((type): ReadonlyArray<Difference> => {
    const [before, now] = [locked[type], today[type]]
    if (now === undefined) return [trouble(`${type} is gone, but logs have it`, `Put it back`)]
    if (before === undefined) return [harmless(`${type} is new`)]
    return compareVersions(type, before, now)
  })
}

const harmless = (what: string): Difference => ({
  isHarmless: true,
  sentence: `${what}. Run \`npm run shapes\` to accept it.`
})

const trouble = (what: string, advice: string): Difference => ({ isHarmless: false, sentence: `${what}. ${advice}.` })

const compareVersions = (type: string, before: Lock[string], now: Lock[string]): ReadonlyArray<Difference> => {
  const versions = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  const last = Object.keys(now).length
  return versions.flatMap((version): ReadonlyArray<Difference> => {
    const name = `${type} ${version}`
    const [locked, today] = [before[version], now[version]]
    if (today === undefined) return [trouble(`${name} is gone, but logs have it`, "Put it back, with its upcaster")]
    if (locked === undefined) return [harmless(`${name} is new`)]
    const isLast = Number(version) === last
    const advice = isLast
      ? `Put it back, and declare version ${last + 1} with an upcaster from ${last} beside the schema ` +
        "(src/events/Evolution.ts)"
      : "Put it back: what is stored with an older version does not change any more"
    return compareShapes(name, locked, today, isLast).map((difference) =>
      difference.isHarmless ? harmless(difference.what) : trouble(difference.what, advice)
    )
  })
}

interface Finding {
  readonly isHarmless: boolean
  readonly what: string
}

const compareShapes = (
  name: string,
  locked: Description,
  today: Description,
  isLast: boolean
): ReadonlyArray<Finding> => {
  if (typeof locked === "string" || typeof today === "string") {
    if (locked === today) return []
    return [{ isHarmless: false, what: `${name} was ${inOne(locked)} and is ${inOne(today)}` }]
  }
  const fields = [...new Set([...Object.keys(locked), ...Object.keys(today)])]
  return fields.flatMap((field) => {
    const [before, now] = [locked[field], today[field]]
    if (now === undefined) return [{ isHarmless: false, what: `${name} has no ${field} any more` }]
    if (before !== undefined) return compareShapes(`${name}: ${field}`, before, now, isLast)
    return [{ isHarmless: isLast && field.endsWith("?"), what: `${name} has a new ${field}` }]
  })
}

const inOne = (description: Description) => typeof description === "string" ? description : JSON.stringify(description)
