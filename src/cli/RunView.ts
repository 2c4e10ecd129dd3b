/**
 * What `makima run` shows while it goes: on a terminal the DAG as it is, redrawn in place; elsewhere a line a
 * transition. Pure: it turns events and states into text, and `run.ts` prints it.
 */
import { HashMap } from "effect"
import { displayWidth } from "effect/cli/CliOutput"

import type * as Directive from "../actors/Directive.ts"
import { currentHandOver, stepOf, taskOf } from "../actors/DirectiveState.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { DaemonId, StepId, TaskId } from "../events/Ids.ts"

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** Names a daemon for people. */
export type Hostnames = (daemonId: DaemonId) => string

/** Times in milliseconds since 1970. */
export interface Times {
  readonly startedAt: number
  readonly now: number
  /** When each task was handed over last, and when it ended. */
  readonly tasks: ReadonlyMap<string, { readonly from: number; readonly to?: number }>
}

const barWidth = 30

const symbols = {
  pending: "·",
  ready: "○",
  starting: "◔",
  running: "◐",
  completed: "✓",
  failed: "✗",
  interrupted: "✗",
  skipped: "–"
} as const

const colours = { green: 32, red: 31, yellow: 33, cyan: 36, dim: 2, bold: 1 } as const
type Paint = (colour: keyof typeof colours, text: string) => string
const plain: Paint = (_, text) => text
const ansi: Paint = (colour, text) => `\u001b[${colours[colour]}m${text}\u001b[0m`

/** The picture of a directive, at most as large as the terminal. */
export const picture = (
  state: Directive.State,
  times: Times,
  hostnames: Hostnames,
  { columns, rows }: Size,
  isColoured: boolean
): ReadonlyArray<string> => {
  const paint = isColoured ? ansi : plain
  const steps = HashMap.toValues(state.steps).sort((a, b) => a.orderIndex - b.orderIndex || a.sequence - b.sequence)
  const finished = steps.filter(({ status }) => status === "completed" || status === "skipped").length
  const elapsed = duration(times.now - times.startedAt)
  const lines = [
    `${paint("bold", clean(state.title))}  ${statusOf(state, paint)}  ${paint("dim", elapsed)}`,
    steps.length === 0 ? "" : `${bar(finished / steps.length)} ${finished} of ${steps.length} steps`
  ]
  const row = (symbol: string, name: string, indent: number, task: Directive.Task | undefined, note: string) => {
    const time = task === undefined ? undefined : times.tasks.get(task.id)
    const spent = time === undefined ? "" : duration((time.to ?? times.now) - time.from)
    const current = task === undefined ? undefined : currentHandOver(task)
    const where = current === undefined ? "" : `on ${hostnames(current.daemonId)}`
    const details = [note, spent, where].filter((part) => part !== "").join("  ")
    return `${"  ".repeat(indent)}${symbol} ${clean(name)}  ${paint("dim", details)}`
  }
  const taskRow = (taskId: TaskId | undefined) => {
    const task = taskId === undefined ? undefined : taskOf(state, taskId)
    if (task !== undefined) lines.push(row(symbolOf(task.status, paint), task.name, 0, task, task.status))
  }
  taskRow(state.planningTaskId)
  const levels = [...new Set(steps.map(({ orderIndex }) => orderIndex))]
  const stepRows = steps.map((step) => {
    const task = step.taskId === undefined ? undefined : taskOf(state, step.taskId)
    const note = step.status === "failed" ? clean(step.failure ?? "failed") : step.status
    return row(symbolOf(step.status, paint), step.name, levels.indexOf(step.orderIndex), task, note)
  })
  const room = Math.max(1, rows - lines.length - 3)
  // With more steps than lines, what is finished gives way first.
  const first = Math.min(Math.max(0, stepRows.length - room), steps.findIndex(({ status }) => !isOver(status)))
  const from = Math.max(0, first)
  lines.push(...stepRows.slice(from, from + room))
  if (stepRows.length > room) lines.push(paint("dim", `… and ${stepRows.length - room} more`))
  taskRow(state.completionTaskId)
  return lines.map((line) => cut(line, columns - 1))
}

const isOver = (status: string): boolean => status === "completed" || status === "skipped"

const symbolOf = (status: keyof typeof symbols, paint: Paint): string => {
  const symbol = symbols[status]
  switch (status) {
    case "completed":
      return paint("green", symbol)
    case "failed":
    case "interrupted":
      return paint("red", symbol)
    case "starting":
    case "running":
      return paint("cyan", symbol)
    default:
      return paint("dim", symbol)
  }
}

const statusOf = (state: Directive.State, paint: Paint): string => {
  switch (state.status) {
    case "idle":
      return paint("green", state.status)
    case "stalled":
    case "paused":
      return paint("red", state.status)
    default:
      return paint("yellow", state.status)
  }
}

const bar = (share: number): string => {
  const full = Math.round(share * barWidth)
  return "█".repeat(full) + "░".repeat(barWidth - full)
}

/** `7.3 s` below a minute, `2:05` over it. */
export const duration = (millis: number): string => {
  const seconds = Math.max(0, millis) / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`
}

/** Somebody's text on one line of a terminal: nothing in it moves the cursor or changes a colour. */
export const clean = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim()

/** Cuts a line that would wrap; escape sequences take no room and are never cut in two. */
const cut = (line: string, columns: number): string => {
  if (displayWidth(line) <= columns) return line
  let width = 0
  let text = ""
  // oxlint-disable-next-line no-control-regex -- the escape character is what is looked for
  for (const [part] of line.matchAll(/\u001b\[\d+m|[^\u001b]/gu)) {
    const wide = part.startsWith("\u001b") ? 0 : displayWidth(part)
    if (width + wide > columns - 1) return `${text}…\u001b[0m`
    width += wide
    text += part
  }
  return text
}

/** The line of an event for where there is no terminal; undefined for events that are no transition to people. */
export const transition = (
  event: DirectiveEvent,
  state: Directive.State,
  hostnames: Hostnames
): string | undefined => {
  const step = (stepId: StepId) => `step ${JSON.stringify(clean(nameOfStep(state, stepId)))}`
  const task = (taskId: TaskId) => JSON.stringify(clean(nameOfTask(state, taskId)))
  switch (event._tag) {
    case "DirectiveStarted":
    case "DirectiveResumed":
    case "DirectiveReactivated":
      return "directive active"
    case "DirectivePaused":
      return `directive paused: ${clean(event.reason)}`
    case "DirectiveIdled":
      return "directive idle: every step has ended"
    case "DirectiveStalled":
      return `directive stalled: ${event.failed.length} failed, ${event.blocked} blocked`
    case "DirectiveArchived":
      return "directive archived"
    case "GoalChanged":
      return `goal changed (revision ${event.revision})`
    case "PlanAccepted":
      return `plan accepted: ${event.steps} steps`
    case "StepReadied":
      return `${step(event.stepId)} pending → ready`
    case "StepStarted":
      return `${step(event.stepId)} ready → running`
    case "StepCompleted":
      return `${step(event.stepId)} running → completed`
    case "StepFailed":
      return `${step(event.stepId)} running → failed: ${clean(event.reason)}`
    case "StepSkipped":
      return `${step(event.stepId)} → skipped`
    case "StepRetried":
      return `${step(event.stepId)} failed → pending`
    case "TaskHandedOver":
      return `task ${task(event.taskId)} pending → starting on ${hostnames(event.daemonId)}`
    case "HandOverFailed":
      return `task ${task(event.taskId)} → pending: ${clean(event.reason)}`
    case "TaskStarted":
      return `task ${task(event.taskId)} starting → running`
    case "TaskCompleted":
      return `task ${task(event.taskId)} running → completed`
    case "TaskFailed":
      return `task ${task(event.taskId)} → failed: ${clean(event.reason)}`
    case "TaskInterrupted":
      return `task ${task(event.taskId)} → interrupted: ${clean(event.reason)}`
    case "CompletionDelayed":
      return `pull request failed (attempt ${event.attempt}), trying again: ${clean(event.reason)}`
    case "AttentionNeeded":
      return `needs attention: ${clean(event.reason)}`
    case "DirectiveUpdated":
      return event.prUrl === undefined ? undefined : `pull request ${clean(event.prUrl)}`
    default:
      return undefined
  }
}

const nameOfStep = (state: Directive.State, stepId: StepId): string => stepOf(state, stepId)?.name ?? stepId
const nameOfTask = (state: Directive.State, taskId: TaskId): string => taskOf(state, taskId)?.name ?? taskId
