/**
 * The state of a directive as text, exactly: the fold that goes on from it is the one that would have come from the
 * first event. Lines of JSON, so that a large state is written in pieces.
 *
 * A snapshot is of use only to code that would have folded the same state. `schema` names that code. By itself it
 * changes with every stored shape and with the fields of the state. Raise `snapshotVersion` when `evolve` makes
 * something else of the same events; `test/golden/folds.test.ts` notices when it does.
 */
import { HashMap } from "effect"
import { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { Answered, HandOver, State, Step, Task } from "./DirectiveState.ts"
import * as Codec from "./internal/codec.ts"
import type { Dag, Level } from "./internal/dag.ts"
import { schemaOf } from "./internal/snapshotSchema.ts"

export const snapshotVersion = 1

const { array, plain, struct, text } = Codec

const step = struct<Step>({
  id: text(),
  sequence: plain,
  name: text(),
  description: text(),
  taskPlan: text(),
  dependsOn: array(text()),
  orderIndex: plain,
  generation: plain,
  status: text(),
  draft: plain,
  waitingOn: plain,
  dependents: Codec.list(text()),
  taskId: text(),
  failure: text(),
  merged: plain
})

const task = struct<Task>({
  id: text(),
  kind: text(),
  name: text(),
  plan: text(),
  repositoryUrl: text(),
  baseBranch: text(),
  completionAction: text(),
  continueFromTaskId: text(),
  stepId: text(),
  revision: plain,
  generation: plain,
  contents: array(text()),
  status: text(),
  handOvers: array(struct<HandOver>({ handOver: plain, daemonId: text(), failed: plain, ignored: array(text()) })),
  exclusions: array(struct<Task["exclusions"][number]>({ daemonId: text(), until: plain })),
  interrupting: plain,
  endedBy: plain,
  reason: text()
})

const answered = struct<Answered>({ commandId: text(), command: text(), digest: text(), answer: plain })

const dag = struct<Dag>({
  open: Codec.heap,
  levels: Codec.entries(struct<Level>({ open: plain, free: Codec.fifo(text()) })),
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

const head = struct<Omit<State, Large>>({
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
  drafts: Codec.list(text()),
  addedByPlan: plain,
  skippedByPlan: plain,
  taskless: Codec.fifo(text()),
  waiting: Codec.fifo(text()),
  openTasks: plain,
  excludedUntil: plain,
  planningTaskId: plain,
  completionTaskId: plain,
  unmerged: plain,
  completionAttempts: plain,
  completionDueAt: plain,
  attention: plain,
  answered: Codec.fifo(text())
})

/** How many steps, tasks, memories or answers are in a line. */
const itemsPerLine = 500

type Line = readonly [name: Large | "head", texts: ReadonlyArray<string>, items: ReadonlyArray<unknown>]

function* encode(state: State): Generator<string> {
  const texts = new Codec.Texts()
  const line = (name: Large | "head", items: ReadonlyArray<unknown>): string =>
    JSON.stringify([name, texts.takeAdded(), items] satisfies Line)
  yield line("head", [head.encode(state, texts)])
  for (const name of largeNames) {
    const items: ReadonlyArray<unknown> = HashMap.toValues<unknown, unknown>(state[name])
    const { encode } = large[name].item as Codec.Codec<unknown>
    for (let start = 0; start < items.length; start += itemsPerLine) {
      yield "\n"
      yield line(name, items.slice(start, start + itemsPerLine).map((item) => encode(item, texts)))
    }
  }
}

const decode = (text: string): State => {
  const texts: Array<string> = []
  const maps = Object.fromEntries(
    largeNames.map((name) => [name, HashMap.beginMutation(HashMap.empty<unknown, unknown>())])
  )
  let rest: Omit<State, Large> | undefined
  for (const line of text.split("\n")) {
    const [name, added, items] = JSON.parse(line) as Line
    for (const one of added) texts.push(one)
    if (name === "head") {
      rest = head.decode(items[0], texts)
      continue
    }
    const { item, key } = large[name]
    for (const json of items) {
      const value = (item as Codec.Codec<Readonly<Record<string, unknown>>>).decode(json, texts)
      HashMap.set(maps[name]!, value[key], value)
    }
  }
  for (const map of Object.values(maps)) HashMap.endMutation(map)
  return { ...rest!, ...maps as unknown as Pick<State, Large> }
}

const shape = [head.shape, ...largeNames.map((name) => `${name} ${large[name].item.shape}`)]

export const codec: Codec.StateCodec<State> = {
  schema: schemaOf(snapshotVersion, shape, DirectiveEvent),
  encode,
  decode
}
