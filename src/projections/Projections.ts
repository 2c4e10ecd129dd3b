/**
 * The runner that keeps the read models up to date: it follows the log and lays what events change over the rows.
 *
 * Rows and the position they stand at are written in one transaction, so a restart goes on exactly where it stopped.
 * Several processes may do this on one database: whoever locks the position does what is left to do. Trouble with the
 * database is waited out; an event that cannot be applied stops the runner, and nothing else.
 */
import { Cause, Context, Duration, Effect, Layer, Option, Schema, Stream, SubscriptionRef } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { EventLog, type EventLogError } from "../events/EventLog.ts"
import { makeApply, messageOf, prepare, type Rewound, storedPosition, type Unable } from "./internal/apply.ts"

/** Whenever `changes` or the tables mean something else than before, this grows, and everything is made anew. */
const currentVersion = 1

const retryDelayMillis = 100
const retryDelayMillisMax = 10_000

/** The read models have not come as far as somebody asked for in the time given. */
export class PositionNotReached extends Schema.TaggedError<PositionNotReached>()("PositionNotReached", {
  wanted: Schema.Natural,
  reached: Schema.Natural,
  waitedMillis: Schema.Finite
}) {
  override get message(): string {
    return `The read models are at position ${this.reached}, not ${this.wanted}, after ${this.waitedMillis} ms`
  }
}

/** The read models stay where they are until this process starts again, with code that knows better. */
export class ProjectionsStopped extends Schema.TaggedError<ProjectionsStopped>()("ProjectionsStopped", {
  reached: Schema.Natural,
  problem: Schema.String
}) {
  override get message(): string {
    return `The read models stopped at position ${this.reached}: ${this.problem}`
  }
}

interface Progress {
  readonly position: number
  readonly stopped: ProjectionsStopped | undefined
}

export class Projections extends Context.Service<Projections, {
  /** Waits until the read models hold at least the log up to `position`, for 5 seconds unless told otherwise. */
  awaitPosition(
    position: number,
    patience?: Duration.Input
  ): Effect.Effect<void, PositionNotReached | ProjectionsStopped>
  /** How far the read models have come, as far as this process knows, and why they go no further, if so. */
  readonly progress: Effect.Effect<Progress>
}>()("makima-runtime/projections/Projections") {
  /** As `layer`, for code of another version. */
  static readonly layerVersion = (
    version: number
  ): Layer.Layer<Projections, SqlError | EventLogError, SqlClient | EventLog> =>
    Layer.effect(Projections, Effect.suspend(() => make(version)))

  /** There when the read models hold what was in the log before. Those of another version are made anew first. */
  static readonly layer = this.layerVersion(currentVersion)
}

const make = Effect.fnUntraced(function*(version: number) {
  const sql = yield* SqlClient
  const log = yield* EventLog
  const progress = yield* SubscriptionRef.make<Progress>({ position: 0, stopped: undefined })

  /** How things are as soon as they are that far, or will never be. */
  const settled = (wanted: number) =>
    SubscriptionRef.changes(progress).pipe(
      Stream.filter(({ position, stopped }) => position >= wanted || stopped !== undefined),
      Stream.runHead,
      Effect.map(Option.getOrThrow)
    )

  const awaitPosition = Effect.fn("Projections.awaitPosition")(
    function*(wanted: number, patience: Duration.Input = "5 seconds") {
      // Most of the time they are that far already.
      if ((yield* SubscriptionRef.get(progress)).position >= wanted) return
      const { position, stopped } = yield* settled(wanted).pipe(Effect.timeoutOrElse({
        duration: patience,
        orElse: Effect.fnUntraced(function*() {
          const { position: reached } = yield* SubscriptionRef.get(progress)
          const waitedMillis = Duration.toMillis(Duration.fromInputUnsafe(patience))
          return yield* new PositionNotReached({ wanted, reached, waitedMillis })
        })
      }))
      if (position < wanted && stopped !== undefined) return yield* stopped
    }
  )

  const stop = Effect.fnUntraced(function*(problem: string) {
    const { position } = yield* SubscriptionRef.get(progress)
    const stopped = new ProjectionsStopped({ reached: position, problem })
    yield* Effect.logError(stopped.message)
    yield* SubscriptionRef.set(progress, { position, stopped })
  })

  yield* prepare(sql, version)

  let failures = 0
  const apply = makeApply(
    sql,
    version,
    Effect.fnUntraced(function*(position) {
      failures = 0
      yield* SubscriptionRef.set(progress, { position, stopped: undefined })
    })
  )

  /** Follows the log from where the read models are, until something goes wrong. */
  const follow: Effect.Effect<never, SqlError | EventLogError | Rewound | Unable> = Effect.gen(function*() {
    let cursor = yield* storedPosition(sql)
    yield* SubscriptionRef.set(progress, { position: cursor, stopped: undefined })
    yield* log.subscribe({ after: cursor }).pipe(
      Stream.runForEachArray(Effect.fnUntraced(function*(events) {
        yield* apply(events, cursor)
        cursor = events.at(-1)!.position
      }))
    )
    return yield* Effect.die("The subscription to the event log ended")
  })

  const run = Effect.gen(function*() {
    while (true) {
      const failure = yield* Effect.flip(follow)
      if (failure._tag === "Unable") return yield* stop(failure.problem)
      const delay = Math.min(retryDelayMillis * 2 ** failures, retryDelayMillisMax)
      failures += 1
      const problem = failure._tag === "SqlError" ? messageOf(failure) : failure.message
      yield* Effect.logWarning(`The read models wait ${delay} ms because of this: ${problem}`)
      yield* Effect.sleep(delay)
    }
  })

  const head = yield* log.head
  yield* run.pipe(
    Effect.catchCause((cause) => Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : stop(Cause.pretty(cause))),
    Effect.forkScoped
  )
  yield* settled(head)
  return Projections.of({ awaitPosition, progress: SubscriptionRef.get(progress) })
})
