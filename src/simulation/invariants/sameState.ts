/**
 * Invariant 6: what an actor has in memory, when it keeps a snapshot of that, against the fold of the log up to there; and
 * the rows that the events make, against the same fold. Rows are compared every five minutes and at the end, in what readers see
 * of them. It does not check the tables of PostgreSQL, which hold the same rows.
 */
import { HashMap } from "effect"
import { codec } from "../../actors/DirectiveSnapshot.ts"
import { currentHandOver, isOpen, type State } from "../../actors/DirectiveState.ts"
import { type DirectiveId } from "../../events/Ids.ts"
import { changes } from "../../projections/Changes.ts"
import type { Table } from "../../projections/Rows.ts"
import type { Invariant, Observed } from "../Invariant.ts"

type Row = Record<string, unknown>

const comparedEveryMillis = 300_000

export const sameState: Invariant = {
  name: "6",
  says: "The state folded from the log is the live actor's state and what the projections hold.",
  make: (observed) => {
    const { events, ledger, now, violated } = observed
    const rows = new Map<Table, Map<string, Row>>()
    const changed = new Set<DirectiveId>()
    let folded = 0
    let comparedAt = 0

    const compareAll = () => {
      for (; folded < events.length; folded += 1) {
        for (const { id, table, values } of changes(events[folded]!)) {
          const ofTable = rows.get(table) ?? new Map<string, Row>()
          rows.set(table, ofTable)
          const row = ofTable.get(id)
          if (row === undefined) ofTable.set(id, { ...values })
          else Object.assign(row, values)
        }
      }
      for (const directiveId of changed) compareRows(observed, rows, ledger.directives.get(directiveId)!)
      changed.clear()
      comparedAt = now()
    }

    return {
      event: ({ stream }) => {
        if (stream.startsWith("directive-")) changed.add(stream.slice("directive-".length) as DirectiveId)
      },
      snapshot: ({ state, stream, version }) => {
        if (!stream.startsWith("directive-")) return
        const expected = [...codec.encode(ledger.stateAt(stream.slice("directive-".length) as DirectiveId, version))]
          .join("")
        if (state !== expected) {
          violated(`the state of ${stream}@${version} as the log has it`, difference(expected, state))
        }
      },
      tick: () => {
        if (now() - comparedAt >= comparedEveryMillis) compareAll()
      },
      end: compareAll
    }
  }
}

const compareRows = (
  { violated }: Observed,
  rows: ReadonlyMap<Table, ReadonlyMap<string, Row>>,
  state: State
): void => {
  const compare = (table: Table, id: string, expected: Row) => {
    const row = rows.get(table)?.get(id) ?? {}
    for (const [name, value] of Object.entries(expected)) {
      if (row[name] === value) continue
      violated(`${table} ${id} with ${name} ${JSON.stringify(value)}, as folded`, JSON.stringify(row[name] ?? null))
    }
  }
  compare("directives", state.id!, {
    ownerId: state.ownerId,
    title: state.title,
    goal: state.goal,
    goalRevision: state.goalRevision,
    status: state.status,
    ...(state.status === "paused" ? { pausedBecause: state.pausedBecause ?? null } : {}),
    repositoryUrl: state.repositoryUrl ?? null,
    baseBranch: state.baseBranch,
    memoryEnabled: state.memoryEnabled,
    prUrl: state.prUrl ?? null,
    prBranch: state.prBranch ?? null,
    generation: state.generation,
    attention: state.attention ?? null,
    completionDueAt: state.completionDueAt ?? null
  })
  for (const step of HashMap.values(state.steps)) {
    const { generation, name, orderIndex, status, taskId } = step
    compare("steps", step.id, { name, orderIndex, generation, status, taskId: taskId ?? null })
  }
  for (const task of HashMap.values(state.tasks)) {
    const { kind, name, reason, status } = task
    compare("tasks", task.id, {
      kind,
      name,
      status,
      handOver: task.handOvers.length,
      reason: reason ?? null,
      ...(isOpen(task) ? { daemonId: currentHandOver(task)?.daemonId ?? null } : {})
    })
  }
  for (const memory of HashMap.values(state.memories)) {
    compare("memories", `${state.id}/${memory.key}`, { value: memory.value })
  }
}

/** Where two long texts begin to differ. */
const difference = (expected: string, found: string): string => {
  let at = 0
  while (at < expected.length && expected[at] === found[at]) at += 1
  const around = (text: string) => text.slice(Math.max(0, at - 40), at + 40)
  return `…${around(found)}… where …${around(expected)}… should be`
}
