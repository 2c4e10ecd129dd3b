/**
 * The state of a directive as text, exactly: the fold that goes on from it is the one that would have come from the
 * first event. Lines of JSON, so that a large state is written in pieces.
 *
 * A snapshot is of use only to code that would have folded the same state. `schema` names that code. By itself it
 * changes with every stored shape and with the fields of the state. Raise `snapshotVersion` when `evolve` makes
 * something else of the same events; `test/golden/folds.test.ts` notices when it does.
 */
import { HashMap, Schema, SchemaRepresentation } from "effect"
import { hash } from "node:crypto"
import { DirectiveEvent } from "../events/DirectiveEvent.ts"
import * as Vocabulary from "../events/Vocabulary.ts"
import type { Answered, State, Step, Task } from "./DirectiveState.ts"
import * as Codec from "./internal/codec.ts"
import type { Dag, Level } from "./internal/dag.ts"

export const snapshotVersion = 1

const { plain } = Codec

const step = Codec.struct<Step>({
  id: plain,
  sequence: plain,
  name: plain,
  description: plain,
  taskPlan: plain,
  dependsOn: plain,
  orderIndex: plain,
  generation: plain,
  status: plain,
  draft: plain,
  waitingOn: plain,
  dependents: Codec.list(),
  taskId: plain,
  failure: plain,
  merged: plain
})

const task = Codec.struct<Task>({
  id: plain,
  kind: plain,
  name: plain,
  plan: plain,
  repositoryUrl: plain,
  baseBranch: plain,
  completionAction: plain,
  continueFromTaskId: plain,
  stepId: plain,
  revision: plain,
  generation: plain,
  contents: plain,
  status: plain,
  handOvers: plain,
  exclusions: plain,
  interrupting: plain,
  endedBy: plain,
  reason: plain
})

const answered = Codec.struct<Answered>({ commandId: plain, command: plain, answer: plain })

const dag = Codec.struct<Dag>({
  open: Codec.heap,
  levels: Codec.entries(Codec.struct<Level>({ open: plain, free: Codec.fifo() })),
  counts: plain
})

/** What grows with the directive, by the field that is its key. */
const large = {
  steps: { key: "id", item: step },
  tasks: { key: "id", item: task },
  memories: { key: "key", item: plain },
  answers: { key: "commandId", item: answered }
} as const
type Large = keyof typeof large
const largeNames = Object.keys(large) as ReadonlyArray<Large>

const head = Codec.struct<Omit<State, Large>>({
  stream: plain,
  version: plain,
  id: plain,
  ownerId: plain,
  title: plain,
  goal: plain,
  goalRevision: plain,
  plannedRevision: plain,
  planFailed: plain,
  repositoryUrl: plain,
  baseBranch: plain,
  memoryEnabled: plain,
  status: plain,
  pausedBecause: plain,
  stalledBy: plain,
  removed: plain,
  prUrl: plain,
  prBranch: plain,
  generation: plain,
  stepCount: plain,
  dag,
  drafts: Codec.list(),
  addedByPlan: plain,
  skippedByPlan: plain,
  taskless: Codec.fifo(),
  waiting: Codec.fifo(),
  openTasks: plain,
  excludedUntil: plain,
  planningTaskId: plain,
  completionTaskId: plain,
  unmerged: plain,
  completionAttempts: plain,
  completionDueAt: plain,
  attention: plain,
  answered: Codec.fifo()
})

/** How many steps, tasks, memories or answers are in a line. */
const itemsPerLine = 500

function* encode(state: State): Generator<string> {
  yield JSON.stringify(head.encode(state))
  for (const name of largeNames) {
    const items: ReadonlyArray<unknown> = HashMap.toValues<unknown, unknown>(state[name])
    const { encode } = large[name].item as Codec.Codec<unknown>
    for (let start = 0; start < items.length; start += itemsPerLine) {
      yield `\n${JSON.stringify([name, items.slice(start, start + itemsPerLine).map(encode)])}`
    }
  }
}

const decode = (text: string): State => {
  const [first, ...lines] = text.split("\n")
  const maps = Object.fromEntries(
    largeNames.map((name) => [name, HashMap.beginMutation(HashMap.empty<unknown, unknown>())])
  )
  for (const line of lines) {
    const [name, items] = JSON.parse(line) as readonly [Large, ReadonlyArray<unknown>]
    const { item, key } = large[name]
    for (const json of items) {
      const value = (item as Codec.Codec<Readonly<Record<string, unknown>>>).decode(json)
      HashMap.set(maps[name]!, value[key], value)
    }
  }
  for (const map of Object.values(maps)) HashMap.endMutation(map)
  return { ...head.decode(JSON.parse(first!)), ...maps as unknown as Pick<State, Large> }
}

const schemaHash = (): string => {
  const stored = Vocabulary.shapes.filter(({ type }) => type in DirectiveEvent.cases).map((
    { schema, type, version }
  ) => [type, version, SchemaRepresentation.toRepresentation(Schema.toCodecJson(schema).ast)])
  const state = [head.shape, ...largeNames.map((name) => `${name} ${large[name].item.shape}`)]
  return hash("sha256", JSON.stringify([snapshotVersion, state, stored]))
}

export const codec: Codec.StateCodec<State> = { schema: schemaHash(), encode, decode }
