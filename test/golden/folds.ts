/**
 * What the golden logs fold to, event by event: a snapshot is right only for as long as that stays the same.
 *
 * The lock names the code by the schema of its snapshots. As long as that is the same, so is what every log folds to.
 */
import { hash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import * as Directive from "../../src/actors/Directive.ts"
import { codec } from "../../src/actors/DirectiveSnapshot.ts"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import * as Golden from "./golden.ts"

export interface Folds {
  readonly schema: string
  /** By version: the log, and the states that it goes through. */
  readonly logs: Readonly<Record<string, { readonly log: string; readonly states: string }>>
}

const file = new URL("folds.lock.json", import.meta.url)
export const readFolds = (): Folds | undefined => existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
export const writeFolds = (folds: Folds): void => writeFileSync(file, `${JSON.stringify(folds, null, 2)}\n`)

export const foldsNow = (evolve: typeof Directive.evolve = Directive.evolve): Folds => ({
  schema: codec.schema,
  logs: Object.fromEntries(
    Golden.versions().map((version) => {
      const lines = Golden.linesOf(version)
      return [version, { log: hash("sha256", lines.join("\n")), states: statesOf(lines, evolve) }]
    })
  )
})

const statesOf = (lines: ReadonlyArray<string>, evolve: typeof Directive.evolve): string => {
  const states = new Map<string, Directive.State>()
  const texts = lines.map(Golden.read).map(({ event, stream }) => {
    if (!isOfDirective(event)) return ""
    const state = evolve(states.get(stream) ?? Directive.empty(stream), event)
    states.set(stream, state)
    return [...codec.encode(state)].join("")
  })
  return hash("sha256", texts.join("\n"))
}

const isOfDirective = (event: { readonly _tag: string }): event is DirectiveEvent => event._tag in DirectiveEvent.cases

/** The versions whose logs fold to something else, although their snapshots would be used. */
export const changed = (before: Folds, now: Folds): ReadonlyArray<string> =>
  before.schema !== now.schema ? [] : Object.entries(before.logs).flatMap(([version, { log, states }]) => {
    const today = now.logs[version]
    return today?.log === log && today.states !== states ? [version] : []
  })

export const advice =
  "Events lead to other states than before. Raise snapshotVersion in src/actors/DirectiveSnapshot.ts, " +
  "so that snapshots from before are not used, and run `npm run golden`."
