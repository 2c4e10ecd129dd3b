/**
 * Where the progress of a run goes: standard error, as a picture on a terminal and as lines elsewhere. Log lines of the
 * program appear above the picture.
 */
import { Clock, Context, Effect, Layer, Logger, Scope } from "effect"
import type * as Directive from "../actors/Directive.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { RecordedEvent } from "../events/EventLog.ts"
import { layerLogLevel } from "./Configuration.ts"
import * as RunView from "./RunView.ts"

export class Progress extends Context.Service<Progress, {
  /** The run starts now, with a daemon on a machine of that name. */
  begin(hostname: string): Effect.Effect<void>
  show(recorded: RecordedEvent<DirectiveEvent>, state: Directive.State): Effect.Effect<void>
}>()("makima-runtime/cli/Progress") {}

const redrawMillis = 100

/** Standard error as it is met here: the process's own, whose size changes with its window. */
const err = process.stderr

export const layerProgress = Layer.unwrap(Effect.sync(() => {
  const picture: { text: ReadonlyArray<string>; draw: () => void } = { text: [], draw: () => {} }
  const erase = () => {
    if (picture.text.length > 0) err.write(`\u001b[${picture.text.length}A\r\u001b[0J`)
    picture.text = []
  }
  const note = (line: string) => {
    erase()
    err.write(`${line}\n`)
    picture.draw()
  }
  const logger = Logger.make((options) => note(Logger.formatSimple.log(options)))

  const progress = Layer.effect(
    Progress,
    Effect.gen(function*() {
      const tasks = new Map<string, { readonly from: number; readonly to?: number }>()
      let host = ""
      let startedAt = 0
      let shown: Directive.State | undefined

      const drawAt = (now: number) => {
        if (shown === undefined) return
        const size = { columns: err.columns ?? 80, rows: err.rows ?? 24 }
        const isColoured = err.hasColors?.() ?? false
        const text = RunView.picture(shown, { startedAt, now, tasks }, () => host, size, isColoured)
        erase()
        picture.text = text
        err.write(text.map((line) => `${line}\n`).join(""))
      }
      const draw = Effect.map(Clock.currentTimeMillis, drawAt)

      const live = Effect.gen(function*() {
        err.write("\u001b[?25l")
        yield* Effect.addFinalizer(() =>
          Effect.andThen(
            draw,
            Effect.sync(() => {
              picture.text = []
              picture.draw = () => {}
              err.write("\u001b[?25h")
            })
          )
        )
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(draw, Effect.sleep(redrawMillis))))
      })

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
      const scope = yield* Effect.scope
      return Progress.of({
        begin: (hostname) =>
          Effect.gen(function*() {
            host = hostname
            startedAt = yield* Clock.currentTimeMillis
            if (err.isTTY) yield* live
          }).pipe(Effect.provideService(Scope.Scope, scope)),
        show: (recorded, state) =>
          Effect.sync(() => {
            time(recorded)
            shown = state
            if (err.isTTY) return drawAt(recorded.at)
            const line = RunView.transition(recorded.event, state, () => host)
            if (line !== undefined) note(`${RunView.duration(recorded.at - startedAt).padStart(8)}  ${line}`)
          })
      })
    })
  )
  return Layer.mergeAll(progress, Logger.layer([logger]), layerLogLevel("Warn"))
}))
