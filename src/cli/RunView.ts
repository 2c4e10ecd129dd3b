/**
 * What `makima run` shows on a terminal: the directive and its DAG as they are, to be redrawn in place. Pure: it turns
 * a state into lines, and `Progress.ts` puts them on the screen.
 */
import { HashMap } from "effect"
import { displayWidth } from "effect/cli/CliOutput"
import type * as Directive from "../actors/Directive.ts"
import { currentHandOver, isOpen, taskOf } from "../actors/DirectiveState.ts"
import { briefly, clean, cut, duration, fit } from "./OneLine.ts"
import { type Hostnames, nameOfTask } from "./Transition.ts"

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** Times in milliseconds since 1970. */
export interface Times {
  readonly startedAt: number
  readonly now: number
  /** When each task was handed over last, and when it ended; in the order of their first hand-overs. */
  readonly tasks: ReadonlyMap<string, { readonly from: number; readonly to?: number }>
}

/** A line about a task or a step, before it is known how wide the columns are. */
interface Row {
  readonly status: keyof typeof symbols
  readonly level: number
  readonly name: string
  readonly note: string
  readonly spent: string
  readonly where: string
  /** Why it failed. */
  readonly reason: string
}

const symbols = {
  pending: "·",
  waiting: "◔",
  ready: "○",
  starting: "◔",
  running: "◐",
  completed: "✓",
  failed: "✗",
  interrupted: "✗",
  skipped: "–"
} as const

const barWidth = 30
const noteWidth = "interrupted".length
const spentWidth = "1:00:00".length
/** What a row has beside its name: the symbol, the status, the time, and the gaps between. */
const fixedWidth = 2 + 2 + noteWidth + 2 + spentWidth + 2
const nameWidthMin = 12
/** Deeper levels are not indented further: the names need the room. */
const levelMax = 6

const colours = { green: 32, red: 31, yellow: 33, cyan: 36, dim: 2, bold: 1 } as const
type Paint = (colour: keyof typeof colours, text: string) => string
const plain: Paint = (_, text) => text
const ansi: Paint = (colour, text) => `\u001b[${colours[colour]}m${text}\u001b[0m`

/** The picture of a directive. Every line fits, and there are fewer lines than rows. */
export const picture = (
  state: Directive.State,
  times: Times,
  hostnames: Hostnames,
  { columns, rows }: Size,
  isColoured: boolean
): ReadonlyArray<string> => {
  const paint = isColoured ? ansi : plain
  const steps = HashMap.toValues(state.steps).sort((a, b) => a.orderIndex - b.orderIndex || a.sequence - b.sequence)
  const planning = taskRow(state, times, hostnames, "planning")
  const completion = taskRow(state, times, hostnames, "completion")
  const stepRows = rowsOfSteps(state, steps, times, hostnames)
  const linesMax = Math.max(1, rows - 1)

  const head = headOf(state, steps, times, columns - 1, paint)
  const room = linesMax - head.length - (planning === undefined ? 0 : 1) - (completion === undefined ? 0 : 1)
  const { hidden, shown } = window(stepRows, room)
  const all = [planning, ...shown, completion].filter((row) => row !== undefined)
  const widest = Math.max(0, ...all.map(({ level, name }) => 2 * level + displayWidth(name)))
  const where = Math.max(0, ...all.map(({ where }) => displayWidth(where)))
  const nameWidth = Math.max(nameWidthMin, Math.min(widest, columns - 1 - fixedWidth - where))
  const line = (row: Row) => lineOf(row, nameWidth, where, paint)
  return [
    ...head,
    ...(planning === undefined ? [] : [line(planning)]),
    ...shown.map(line),
    ...hidden.map((text) => paint("dim", text)),
    ...(completion === undefined ? [] : [line(completion)])
  ].map((text) => cut(text, columns - 1)).slice(0, linesMax)
}

const headOf = (
  state: Directive.State,
  steps: ReadonlyArray<Directive.Step>,
  times: Times,
  columns: number,
  paint: Paint
): ReadonlyArray<string> => {
  const elapsed = duration(times.now - times.startedAt)
  const rest = `  ${state.status}  ${elapsed}`
  const title = cut(clean(state.title), Math.max(nameWidthMin, columns - rest.length))
  const first = `${paint("bold", title)}  ${statusOf(state, paint)}  ${paint("dim", elapsed)}`
  if (steps.length === 0) return [first]
  const over = steps.filter(({ status }) => status === "completed" || status === "skipped").length
  const full = Math.floor(over / steps.length * barWidth)
  const bar = paint("green", "█".repeat(full)) + paint("dim", "░".repeat(barWidth - full))
  return [first, `${bar} ${over} of ${steps.length} ${steps.length === 1 ? "step" : "steps"}`]
}

const rowsOfSteps = (
  state: Directive.State,
  steps: ReadonlyArray<Directive.Step>,
  times: Times,
  hostnames: Hostnames
): ReadonlyArray<Row> => {
  const levels = new Map<number, number>()
  for (const { orderIndex } of steps) if (!levels.has(orderIndex)) levels.set(orderIndex, levels.size)
  return steps.map((step): Row => {
    const task = step.taskId === undefined ? undefined : taskOf(state, step.taskId)
    return {
      status: step.status,
      level: Math.min(levels.get(step.orderIndex)!, levelMax),
      name: clean(step.name),
      note: step.status,
      ...timeAndPlace(task, times, hostnames),
      reason: step.status === "failed" ? briefly(step.failure ?? "") : ""
    }
  })
}

/** The latest planning or completion task, also when it has ended. */
const taskRow = (
  state: Directive.State,
  times: Times,
  hostnames: Hostnames,
  kind: "planning" | "completion"
): Row | undefined => {
  const current = kind === "planning" ? state.planningTaskId : state.completionTaskId
  const taskId = current ??
    [...times.tasks.keys()].findLast((id) => taskOf(state, id as Directive.Task["id"])?.kind === kind)
  const task = taskId === undefined ? undefined : taskOf(state, taskId as Directive.Task["id"])
  if (task === undefined) return undefined
  const row: Row = {
    status: task.status,
    level: 0,
    name: nameOfTask(state, task),
    note: task.status,
    ...timeAndPlace(task, times, hostnames),
    reason: isOpen(task) ? "" : briefly(task.reason ?? "")
  }
  if (kind === "planning" || state.completionDueAt === undefined) return row
  return {
    ...row,
    status: "waiting",
    note: "waiting",
    reason: `again in ${duration(state.completionDueAt - times.now)}`
  }
}

const timeAndPlace = (task: Directive.Task | undefined, times: Times, hostnames: Hostnames) => {
  const time = task === undefined ? undefined : times.tasks.get(task.id)
  const current = task === undefined ? undefined : currentHandOver(task)
  return {
    spent: time === undefined ? "" : duration((time.to ?? times.now) - time.from),
    where: current === undefined ? "" : clean(hostnames(current.daemonId))
  }
}

/** As many rows as there is room for, with a line that says how many more there are. What is over gives way first. */
const window = (rows: ReadonlyArray<Row>, room: number) => {
  if (rows.length <= room) return { shown: rows, hidden: [] }
  const count = Math.max(0, room - 1)
  const firstOpen = rows.findIndex(({ status }) => status !== "completed" && status !== "skipped")
  const from = Math.min(firstOpen === -1 ? rows.length : firstOpen, rows.length - count)
  const parts = [
    ...(from === 0 ? [] : [`${from} above`]),
    ...(rows.length - from - count === 0 ? [] : [`${rows.length - from - count} below`])
  ]
  return { shown: rows.slice(from, from + count), hidden: [`… ${parts.join(", ")}`] }
}

const lineOf = (row: Row, nameWidth: number, whereWidth: number, paint: Paint): string => {
  const indent = "  ".repeat(row.level)
  const name = fit(`${indent}${paintSymbol(row.status, paint)} ${row.name}`, nameWidth + 2)
  const facts = [fit(row.note, noteWidth), row.spent.padStart(spentWidth), fit(row.where, whereWidth)].join("  ")
  return `${name}  ${paint("dim", facts.trimEnd())}${row.reason === "" ? "" : `  ${paint("red", row.reason)}`}`
    .trimEnd()
}

const paintSymbol = (status: keyof typeof symbols, paint: Paint): string => {
  const symbol = symbols[status]
  switch (symbol) {
    case "✓":
      return paint("green", symbol)
    case "✗":
      return paint("red", symbol)
    case "◔":
    case "◐":
      return paint("cyan", symbol)
    default:
      return paint("dim", symbol)
  }
}

const statusOf = ({ status }: Directive.State, paint: Paint): string => {
  switch (status) {
    case "idle":
      return paint("green", status)
    case "stalled":
    case "paused":
      return paint("red", status)
    default:
      return paint("yellow", status)
  }
}
