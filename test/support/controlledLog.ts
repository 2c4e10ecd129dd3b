/** The memory log under the hand of a test: appends are counted, can be held up, and can fail. */
import { Context, Effect, Latch, Layer } from "effect"
import { EventLog, EventLogError, type StreamAppend } from "../../src/events/EventLog.ts"

export class Control extends Context.Service<Control, {
  /** Every append that was asked for, in order, those that failed included. */
  readonly appends: Array<ReadonlyArray<StreamAppend>>
  /** Appends wait while it is closed. */
  readonly gate: Latch.Latch
  /** Which appends fail. */
  fails: (stream: string) => boolean
  /** Which appends fail although they were committed, as when the connection breaks before the answer. */
  failsAfterwards: (stream: string) => boolean
}>()("test/Control") {}

const failure = new EventLogError({ method: "append", cause: new Error("the disk is full") })

const layerEventLog = Layer.effect(
  EventLog,
  Effect.gen(function*() {
    const log = yield* EventLog
    const control = yield* Control
    return EventLog.of({
      ...log,
      append: Effect.fnUntraced(function*(appends, about) {
        control.appends.push(appends)
        yield* control.gate.await
        if (appends.some(({ stream }) => control.fails(stream))) return yield* failure
        const recorded = yield* log.append(appends, about)
        if (appends.some(({ stream }) => control.failsAfterwards(stream))) return yield* failure
        return recorded
      })
    })
  })
)

const never = () => false

const layerControl = Layer.sync(Control, () => ({
  appends: [],
  gate: Latch.makeUnsafe(true),
  fails: never,
  failsAfterwards: never
}))

/** On top of a log that the test has already. */
export const layerOver = layerEventLog.pipe(Layer.provideMerge(layerControl))

export const layer = layerOver.pipe(Layer.provide(EventLog.layerMemory))

/** Has appends to some streams fail while something is done. */
export const whileFailing = <A, E, R>(fails: (stream: string) => boolean, use: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Control, (control) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        control.fails = fails
      }),
      () => use,
      () =>
        Effect.sync(() => {
          control.fails = never
        })
    ))
