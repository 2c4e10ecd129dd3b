/**
 * Where the progress of a run goes: standard error, as a picture on a terminal and as lines elsewhere. Log lines of the
 * program appear above the picture.
 */
import { Cause, Clock, Context, Effect, Layer, Logger, type LogLevel } from "effect"
import { displayWidth } from "effect/cli/CliOutput"
import process from "node:process"
import type * as Directive from "../actors/Directive.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { RecordedEvent } from "../events/EventLog.ts"
import { layerLogLevel } from "./Configuration.ts"
import { clean, duration } from "./OneLine.ts"
import * as RunView from "./RunView.ts"
import { transition } from "./Transition.ts"

export class Progress extends Context.Service<Progress, {
  /** The run starts now, with a daemon on a machine of that name. */
  begin(hostname: string): Effect.Effect<void>
  show(recorded: RecordedEvent<DirectiveEvent>, state: Directive.State): Effect.Effect<void>
}>()("makima-runtime/cli/Progress") {}

const redrawMillis = 100

/** Standard error as it is met here: the process's own, whose size changes with its window. */
const err = process.stderr

const hideCursor = "\u001b[?25l"
const showCursor = "\u001b[?25h"
const eraseLine = "\u001b[K"
const eraseBelow = "\u001b[0J"

/** A part of the screen that is written again and again, with lines that stay above it. */
const screen = () => {
  let shown: ReadonlyArray<string> = []
  const size = () => ({ columns: err.columns || 80, rows: err.rows || 24 })
  /** To the picture's first line. A window that became narrower has wrapped what was there. */
  const back = () => {
    const { columns } = size()
    const rows = shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / columns)), 0)
    return rows === 0 ? "" : `\u001b[${rows}A\r`
  }
  const rendered = (text: ReadonlyArray<string>) => text.map((line) => `${line}${eraseLine}\n`).join("")
  return {
    size,
    draw: (picture: ReadonlyArray<string>) => {
      err.write(`${back()}${rendered(picture)}${eraseBelow}`)
      shown = picture
    },
    /** In one piece, so that nothing flickers. */
    note: (line: string) => err.write(`${back()}${rendered(line.split("\n"))}${rendered(shown)}${eraseBelow}`),
    /** There may be nothing to show for the seconds in which PostgreSQL is started. */
    begin: () => {
      shown = ["Starting …"]
      err.write(`${hideCursor}${rendered(shown)}`)
    },
    leave: () => {
      shown = []
      err.write(showCursor)
    }
  }
}

export const layerProgress = Layer.unwrap(Effect.sync(() => {
  // A terminal that knows no escape sequences gets lines as well.
  const isLive = err.isTTY && process.env["TERM"] !== "dumb"
  const { begin, draw, leave, note, size } = screen()
  const say = isLive ? note : (line: string) => void err.write(`${line}\n`)
  const logger = Logger.make(({ cause, logLevel, message }) => say(logged(logLevel, message, cause)))

  const progress = Layer.effect(
    Progress,
    Effect.gen(function*() {
      const tasks = new Map<string, { readonly from: number; readonly to?: number }>()
      let host = ""
      let startedAt = 0
      let latest: Directive.State | undefined

      const redraw = Effect.map(Clock.currentTimeMillis, (now) => {
        if (latest === undefined) return
        const isColoured = err.hasColors?.() ?? false
        draw(RunView.picture(latest, { startedAt, now, tasks }, () => host, size(), isColoured))
      })
      if (isLive) {
        yield* Effect.addFinalizer(() => Effect.andThen(redraw, Effect.sync(leave)))
        begin()
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(redraw, Effect.sleep(redrawMillis))))
      }

      const time = ({ at, event }: RecordedEvent<DirectiveEvent>) => {
        switch (event._tag) {
          case "TaskHandedOver":
            return void tasks.set(event.taskId, { from: at })
          case "TaskCompleted":
          case "TaskFailed":
          case "TaskInterrupted":
            return void tasks.set(event.taskId, { from: tasks.get(event.taskId)?.from ?? at, to: at })
          default:
        }
      }
      return Progress.of({
        begin: (hostname) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            host = hostname
            startedAt = now
          }),
        show: (recorded, state) =>
          Effect.sync(() => {
            time(recorded)
            latest = state
            if (isLive) return
            const line = transition(recorded.event, state, () => host)
            if (line !== undefined) say(`${duration(recorded.at - startedAt).padStart(8)}  ${line}`)
          })
      })
    })
  )
  return Layer.mergeAll(progress, Logger.layer([logger]), layerLogLevel("Warn"))
}))

/** A log entry for people, who watch a run and do not look for it in a file. */
const logged = (level: LogLevel.LogLevel, message: unknown, cause: Cause.Cause<unknown>): string => {
  const parts = (Array.isArray(message) ? message : [message]).map((part) =>
    part instanceof Error ? part.message : typeof part === "string" ? part : JSON.stringify(part)
  )
  const line = `${level.toLowerCase()}: ${clean(parts.join(" "))}`
  return cause.reasons.length === 0 ? line : `${line}\n${Cause.pretty(cause)}`
}
