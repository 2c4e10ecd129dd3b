/**
 * The runner that keeps the read models up to date: it follows the log and lays what events change over the rows.
 *
 * All tables have one position, which is written in one transaction with the rows. So what a reader joins is as of one
 * moment, `after` is one number, and a restart goes on exactly where it stopped. The price is that an event which cannot
 * be applied stops all tables, and nothing else: actors and the log go on, and whoever waits for the read models is told.
 * Trouble with the database is waited out.
 *
 * Several processes may do this on one database: whoever locks the position does what is left to do. Code of a newer
 * version makes its own tables beside the live ones (`internal/rebuild.ts`) and is ready when they are; older code serves
 * until readers are taken over, and stops then. Older code that starts later does not take them back unless it is asked
 * to rebuild, because two versions that both take over whenever they start would never come to rest.
 */
import { Cause, Context, Duration, Effect, Layer, Option, Schema, Stream, SubscriptionRef } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { EventLog, type EventLogError } from "../events/EventLog.ts"
import { noQuarantine, type UnreadableEvent } from "../events/Unreadable.ts"
import { makeApply, Unable } from "./internal/apply.ts"
import { discardLeftover, type Generation, stored } from "./internal/generations.ts"
import { quarantineOf } from "./internal/quarantine.ts"
import { currentVersion } from "./internal/readModelSchema.ts"
import { isOutdated, type Purpose, rebuild } from "./internal/rebuild.ts"
import { makeWaitOut } from "./internal/waitOut.ts"
import { ReadModelError } from "./ReadModel.ts"
import type { RebuildProgress, RebuildReport } from "./Rebuild.ts"

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

/** The read models stay where they are until they are rebuilt here, or this process starts with code that knows better. */
export class ProjectionsStopped extends Schema.TaggedError<ProjectionsStopped>()("ProjectionsStopped", {
  reached: Schema.Natural,
  problem: Schema.String
}) {
  override get message(): string {
    return `The read models stopped at position ${this.reached}: ${this.problem}`
  }
}

/** Nothing has changed for readers. */
export class RebuildFailed extends Schema.TaggedError<RebuildFailed>()("RebuildFailed", {
  purpose: Schema.Literals(["rebuild", "check"]),
  problem: Schema.String
}) {
  override get message(): string {
    return `The ${this.purpose} of the read models failed: ${this.problem}`
  }
}

export interface Progress {
  /** How far the tables are that this process reads. */
  readonly position: number
  /** Where the log ends. */
  readonly head: number
  /** Why they go no further, if so. */
  readonly stopped: ProjectionsStopped | undefined
  /** Which streams they show only up to an event that cannot be read. */
  readonly quarantined: ReadonlyArray<UnreadableEvent>
  /** What this process makes anew, if anything. */
  readonly rebuild: RebuildProgress | undefined
}

type OnProgress = (progress: RebuildProgress) => Effect.Effect<void>

export class Projections extends Context.Service<Projections, {
  /** Waits until the read models hold at least the log up to `position`, for 5 seconds unless told otherwise. */
  awaitPosition(
    position: number,
    patience?: Duration.Input
  ): Effect.Effect<void, PositionNotReached | ProjectionsStopped>
  /** How things are now. */
  readonly progress: Effect.Effect<Progress, ReadModelError | EventLogError>
  /** Makes the read models anew from the log beside the live ones, compares them, and has readers go over. */
  rebuild(onProgress?: OnProgress): Effect.Effect<RebuildReport, RebuildFailed>
  /** As `rebuild`, and throws away what it has made: the report says whether the live ones are what the log says. */
  check(onProgress?: OnProgress): Effect.Effect<RebuildReport, RebuildFailed>
}>()("makima-runtime/projections/Projections") {
  /** As `layer`, for code of another version. */
  static readonly layerVersion = (
    version: number
  ): Layer.Layer<Projections, SqlError | EventLogError, SqlClient | EventLog> =>
    Layer.effect(Projections, Effect.suspend(() => make(version)))

  /** There when the read models of this version hold what was in the log before, or cannot. */
  static readonly layer = this.layerVersion(currentVersion)
}

interface State {
  /** Whether there are tables of this version. */
  readonly made: boolean
  readonly position: number
  readonly stopped: ProjectionsStopped | undefined
}

const make = Effect.fnUntraced(function*(version: number) {
  const sql = yield* SqlClient
  const log = yield* EventLog
  const state = yield* SubscriptionRef.make<State>({ made: false, position: 0, stopped: undefined })
  const source = { sql, log, version }
  let rebuilding: RebuildProgress | undefined

  /** How things are as soon as they are so. */
  const when = (wanted: (state: State) => boolean) =>
    SubscriptionRef.changes(state).pipe(Stream.filter(wanted), Stream.runHead, Effect.map(Option.getOrThrow))

  const awaitPosition = Effect.fn("Projections.awaitPosition")(
    function*(wanted: number, patience: Duration.Input = "5 seconds") {
      // Most of the time they are that far already.
      if ((yield* SubscriptionRef.get(state)).position >= wanted) return
      const settled = when(({ position, stopped }) => position >= wanted || stopped !== undefined)
      const { position, stopped } = yield* settled.pipe(Effect.timeoutOrElse({
        duration: patience,
        orElse: Effect.fnUntraced(function*() {
          const { position: reached } = yield* SubscriptionRef.get(state)
          const waitedMillis = Duration.toMillis(Duration.fromInputUnsafe(patience))
          return yield* new PositionNotReached({ wanted, reached, waitedMillis })
        })
      }))
      if (position < wanted && stopped !== undefined) return yield* stopped
    }
  )

  const progress = Effect.fn("Projections.progress")(function*() {
    const [live, quarantine] = yield* Effect.gen(function*() {
      const live = yield* stored(sql, "live")
      return [live, live?.version === version ? yield* quarantineOf(sql, live) : noQuarantine] as const
    }).pipe(Effect.mapError((cause) => new ReadModelError({ method: "look up its position", cause })))
    const head = yield* log.head
    const position = live?.version === version ? live.position : 0
    const { made, position: reached, stopped } = yield* SubscriptionRef.get(state)
    // The runner hears of it at the next event.
    const replaced = live !== undefined && (live.version > version || (made && live.version < version))
      ? new ProjectionsStopped({ reached, problem: replacedBy(live, version) })
      : undefined
    return {
      position,
      head,
      stopped: stopped ?? replaced,
      quarantined: [...quarantine.values()],
      rebuild: rebuilding
    }
  })

  const stop = Effect.fnUntraced(function*(problem: string) {
    const current = yield* SubscriptionRef.get(state)
    const stopped = new ProjectionsStopped({ reached: current.position, problem })
    yield* Effect.logError(stopped.message)
    yield* SubscriptionRef.set(state, { ...current, stopped })
  })

  const remake = (purpose: Purpose, onProgress: OnProgress = () => Effect.void) =>
    rebuild(source, purpose, (now) => {
      rebuilding = now
      return onProgress(now)
    }).pipe(Effect.ensuring(Effect.sync(() => rebuilding = undefined)))

  const asked = Effect.fnUntraced(function*(purpose: "rebuild" | "check", onProgress?: OnProgress) {
    const report = yield* remake(purpose, onProgress).pipe(
      Effect.mapError(({ problem }) => new RebuildFailed({ purpose, problem }))
    )
    if (report === undefined) return yield* Effect.die(`A ${purpose} ended without a report`)
    // Whatever the runner stopped at, it may get past now.
    if (purpose === "rebuild") yield* SubscriptionRef.update(state, (current) => ({ ...current, stopped: undefined }))
    return report
  })

  yield* discardLeftover(sql)

  const { progressed, run } = makeWaitOut()
  const ours = (found: Generation | undefined) =>
    found !== undefined && found.version === version
      ? Effect.succeed(found)
      : Effect.fail(new Unable({ problem: found === undefined ? "they are gone" : replacedBy(found, version) }))
  const reached = (position: number) => SubscriptionRef.set(state, { made: true, position, stopped: undefined })
  const apply = makeApply(sql, "live", ours, (position) => Effect.andThen(progressed, reached(position)))

  /** Follows the log from where the read models are, until something goes wrong. */
  const follow = Effect.gen(function*() {
    if (yield* isOutdated(source, yield* stored(sql, "live"))) yield* remake("upgrade")
    let cursor = (yield* Effect.flatMap(stored(sql, "live"), ours)).position
    yield* reached(cursor)
    yield* log.subscribe({ after: cursor }).pipe(
      Stream.runForEachArray(Effect.fnUntraced(function*(events) {
        yield* apply(events, cursor)
        cursor = events.at(-1)!.position
      }))
    )
    return yield* Effect.die("The subscription to the event log ended")
  })

  const head = yield* log.head
  yield* run(follow).pipe(
    Effect.catch(({ problem }) => stop(problem)),
    Effect.catchCause((cause) => Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : stop(Cause.pretty(cause))),
    Effect.andThen(when(({ stopped }) => stopped === undefined)),
    Effect.forever,
    Effect.forkScoped
  )
  yield* when(({ made, position, stopped }) => (made && position >= head) || stopped !== undefined)
  return Projections.of({
    awaitPosition,
    progress: progress(),
    rebuild: (onProgress) => asked("rebuild", onProgress),
    check: (onProgress) => asked("check", onProgress)
  })
})

const replacedBy = ({ version }: Generation, own: number): string =>
  `they are of version ${version} now, and this process makes version ${own}`
