/** The golden logs: one a release, which every later version has to read and to fold to the same states. */
import { Result, type Schema } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as DaemonRegistry from "../../src/actors/DaemonRegistry.ts"
import * as Directive from "../../src/actors/Directive.ts"
import * as Supervisor from "../../src/actors/Supervisor.ts"
import { DaemonEvent } from "../../src/events/DaemonEvent.ts"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import type { RecordedEvent, StoredEvent } from "../../src/events/EventLog.ts"
import { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import * as Vocabulary from "../../src/events/Vocabulary.ts"
import * as LogLine from "../../src/replay/LogLine.ts"
import { view } from "../../src/replay/StateAt.ts"

/** The states that the streams of a log lead to, by stream. */
export type States = Readonly<Record<string, Schema.Json>>

const folder = new URL(".", import.meta.url)
export const logFile = (version: string): URL => new URL(`${version}.jsonl`, folder)
export const statesFile = (version: string): URL => new URL(`${version}.states.json`, folder)

export const versions = (): ReadonlyArray<string> =>
  readdirSync(folder).filter((name) => name.endsWith(".jsonl")).map((name) => name.replace(/\.jsonl$/, ""))

export const packageVersion = (): string =>
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version

/** A version is released when the changelog has a heading for it. */
export const isReleased = (
  version: string,
  changelog = readFileSync(new URL("../../CHANGELOG.md", import.meta.url), "utf8")
): boolean => changelog.split("\n").some((line) => /^## \[?([^\]\s]+)/.exec(line)?.[1] === version)

export const linesOf = (version: string): ReadonlyArray<string> =>
  readFileSync(logFile(version), "utf8").trimEnd().split("\n")

export const readStates = (version: string): States => JSON.parse(readFileSync(statesFile(version), "utf8"))

export const write = (recorded: RecordedEvent): string => JSON.stringify(LogLine.json(recorded))

/** An event of a line, in today's shape. */
export const read = (line: string): RecordedEvent => {
  const { event, type, ...place } = JSON.parse(line)
  const today = Vocabulary.read(type, place.schemaVersion, event)
  if (Result.isSuccess(today)) return { ...place, event: today.success }
  throw new Error(`The ${type} at position ${place.position} cannot be read: ${today.failure}`)
}

/** By folding alone: no rule has a say in what has happened. */
export const statesOf = (events: ReadonlyArray<RecordedEvent>): States =>
  Object.fromEntries(
    [...Map.groupBy(events, ({ stream }) => stream)].map(([stream, ofStream]) => [
      stream,
      JSON.parse(JSON.stringify(stateOf(stream, ofStream.map(({ event }) => event))))
    ])
  )

const stateOf = (stream: string, events: ReadonlyArray<StoredEvent>): unknown => {
  if (events.every(isOf(DirectiveEvent.cases))) return view(events.reduce(Directive.evolve, Directive.empty(stream)))
  if (events.every(isOf(DaemonEvent.cases))) {
    const { daemons } = events.reduce(DaemonRegistry.evolve, DaemonRegistry.empty(DaemonRegistry.defaultPolicy))
    return { daemons: [...daemons.values()] }
  }
  if (events.every(isOf(SupervisorEvent.cases))) {
    const { failures, parked, scheduled } = events.reduce(
      Supervisor.evolve,
      Supervisor.empty(Supervisor.defaultPolicy)
    )
    return {
      failures: Object.fromEntries(failures),
      parked: Object.fromEntries(parked),
      scheduled: Object.fromEntries(scheduled)
    }
  }
  throw new Error(`${stream} has events of several kinds of streams`)
}

const isOf =
  <Tag extends string>(cases: Readonly<Record<Tag, unknown>>) =>
  (event: StoredEvent): event is Extract<StoredEvent, { readonly _tag: Tag }> => event._tag in cases
