/**
 * What the golden logs fold to, event by event: a snapshot is right only for as long as that stays the same.
 *
 * The lock names the code by the schema of its snapshots, for each kind of stream. As long as that is the same, so is what
 * every log folds to.
 */
import { hash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import * as DaemonRegistry from "../../src/actors/DaemonRegistry.ts"
import * as DaemonRegistrySnapshot from "../../src/actors/DaemonRegistrySnapshot.ts"
import * as Directive from "../../src/actors/Directive.ts"
import * as DirectiveSnapshot from "../../src/actors/DirectiveSnapshot.ts"
import type { StateCodec } from "../../src/actors/internal/codec.ts"
import * as Supervisor from "../../src/actors/Supervisor.ts"
import * as SupervisorSnapshot from "../../src/actors/SupervisorSnapshot.ts"
import { DaemonEvent } from "../../src/events/DaemonEvent.ts"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import * as Golden from "./golden.ts"

/** By kind of stream. */
export type Folds = Readonly<
  Record<string, {
    readonly schema: string
    /** By version: the log, and the states that it goes through. */
    readonly logs: Readonly<Record<string, { readonly log: string; readonly states: string }>>
  }>
>

const file = new URL("folds.lock.json", import.meta.url)
export const readFolds = (): Folds | undefined => existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
export const writeFolds = (folds: Folds): void => writeFileSync(file, `${JSON.stringify(folds, null, 2)}\n`)

/** The schema of a kind's snapshots, and the texts of all states that a log leads its streams through. */
interface Fold {
  readonly schema: string
  readonly states: (lines: ReadonlyArray<string>) => ReadonlyArray<string>
}

const foldOf = <State, Event extends { readonly _tag: string }>(
  cases: Readonly<Record<Event["_tag"], unknown>>,
  codec: StateCodec<State>,
  empty: (stream: string) => State,
  evolve: (state: State, event: Event) => State
): Fold => ({
  schema: codec.schema,
  states: (lines) => {
    const states = new Map<string, State>()
    const isOfKind = (event: { readonly _tag: string }): event is Event => event._tag in cases
    return lines.map(Golden.read).map(({ event, stream }) => {
      if (!isOfKind(event)) return ""
      const state = evolve(states.get(stream) ?? empty(stream), event)
      states.set(stream, state)
      return [...codec.encode(state)].join("")
    })
  }
})

export const directiveFold = (evolve: typeof Directive.evolve = Directive.evolve): Fold =>
  foldOf(DirectiveEvent.cases, DirectiveSnapshot.codec, Directive.empty, evolve)

const kinds: Readonly<Record<string, Fold>> = {
  directive: directiveFold(),
  daemons: foldOf(
    DaemonEvent.cases,
    DaemonRegistrySnapshot.codecFor(DaemonRegistry.defaultPolicy),
    () => DaemonRegistry.empty(DaemonRegistry.defaultPolicy),
    DaemonRegistry.evolve
  ),
  supervisor: foldOf(
    SupervisorEvent.cases,
    SupervisorSnapshot.codecFor(Supervisor.defaultPolicy),
    () => Supervisor.empty(Supervisor.defaultPolicy),
    Supervisor.evolve
  )
}

export const foldsNow = (others: Readonly<Record<string, Fold>> = {}): Folds =>
  Object.fromEntries(
    Object.entries({ ...kinds, ...others }).map(([kind, { schema, states }]) => [
      kind,
      {
        schema,
        logs: Object.fromEntries(
          Golden.versions().map((version) => {
            const lines = Golden.linesOf(version)
            return [version, {
              log: hash("sha256", lines.join("\n")),
              states: hash("sha256", states(lines).join("\n"))
            }]
          })
        )
      }
    ])
  )

/** The kinds and versions of logs that fold to something else, although their snapshots would be used. */
export const changed = (before: Folds, now: Folds): ReadonlyArray<string> =>
  Object.entries(before).flatMap(([kind, { logs, schema }]) =>
    Object.entries(logs).flatMap(([version, { log, states }]) => {
      const today = now[kind]?.schema === schema ? now[kind].logs[version] : undefined
      return today?.log === log && today.states !== states ? [`${kind} ${version}`] : []
    })
  )

export const advice =
  "Events lead to other states than before. Raise snapshotVersion in the …Snapshot.ts of their kind, " +
  "in src/actors, so that snapshots from before are not used, and run `npm run golden`."
