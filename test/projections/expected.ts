/** What the read models have to hold for a directive, taken from its state: nothing here looks at an event. */
import { Struct } from "effect"
import type * as Directive from "../../src/actors/Directive.ts"
import type { Change } from "../../src/projections/Changes.ts"
import { merged } from "../../src/projections/Changes.ts"
import type { DirectiveDetail, MemoryRow } from "../../src/projections/Rows.ts"
import { view } from "../../src/replay/StateAt.ts"

/** Without what a state does not have: times, and the prompts and descriptions of tasks. */
export const expected = (state: Directive.State) => {
  const { directive, memories, steps, tasks } = view(state)
  return storable({
    directive: Struct.omit(directive, ["plannedRevision"]),
    steps: steps.map(Struct.omit(["draft", "merged"])),
    tasks: tasks.map(Struct.omit(["interrupting"])).sort(byId),
    memories
  })
}

/** A directive as readers get it, without what a state does not have. */
export const comparable = ({ steps, tasks, ...directive }: DirectiveDetail, memories: ReadonlyArray<MemoryRow>) => ({
  directive: Struct.omit(directive, ["createdAt", "updatedAt"]),
  steps: steps.map(Struct.omit(["directiveId"])),
  tasks: tasks.map(Struct.omit(["directiveId", "description", "createdAt", "endedAt"])).sort(byId),
  memories
})

const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : 1)

/** Rows in memory, for tests that lay changes over rows at every event of many histories. */
export class MemoryTables {
  readonly rows = new Map<string, Map<string, Record<string, unknown>>>()

  lay(changes: Iterable<Change>): void {
    for (const [table, rows] of merged(changes)) {
      const ofTable = this.rows.get(table) ?? new Map<string, Record<string, unknown>>()
      this.rows.set(table, ofTable)
      for (const row of rows) ofTable.set(row.id, { ...ofTable.get(row.id), ...row })
    }
  }

  /** What a reader would get of the one directive that is here. */
  get directive() {
    const of = (table: string) => [...this.rows.get(table)?.values() ?? []]
    const [directive] = of("directives").map((row) => ({
      ...Struct.omit(row, ["attention", "pausedBecause", "createdAt", "createdPosition", "updatedAt"]),
      reason: row["status"] === "paused" ? row["pausedBecause"] : row["attention"]
    }))
    const notOfTasks = ["directiveId", "version", "description", "plan", "createdAt", "endedAt"]
    return {
      directive,
      steps: of("steps").sort(byNumber("version"))
        .map((row, sequence) => ({ ...Struct.omit(row, ["directiveId", "version"]), sequence })),
      tasks: of("tasks").sort(byText("id")).map((row) => Struct.omit(row, notOfTasks)),
      memories: of("memories").filter(({ value }) => value !== null).sort(byText("key"))
        .map((row) => Struct.omit(row, ["directiveId", "id"]))
    }
  }
}

const byNumber = (field: string) => (a: Record<string, unknown>, b: Record<string, unknown>) =>
  Number(a[field]) - Number(b[field])
const byText = (field: string) => (a: Record<string, unknown>, b: Record<string, unknown>) =>
  String(a[field]) < String(b[field]) ? -1 : 1

/** PostgreSQL keeps neither NUL nor half characters. */
const storable = <A>(value: A): A =>
  JSON.parse(
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === "string" ? part.toWellFormed().replaceAll("\0", "") : part)
  ) as A
