/**
 * Makes the read models anew beside the live ones, which go on being read and written: into tables of a generation of
 * their own, from position zero. When they have caught up they are compared with the live ones, and readers go over.
 *
 * One process at a time does this. One that is killed leaves its tables behind, and whoever starts next drops them:
 * beginning again is always right, and code that was changed meanwhile may have made the half that is there. Within one
 * process, trouble with the database loses nothing.
 */
import { Clock, Effect, Schema, type Scope, Stream } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import type { EventLog, EventLogError } from "../../events/EventLog.ts"
import { type RebuildProgress, type RebuildReport, summary } from "../Rebuild.ts"
import { lay, makeApply, Unable } from "./apply.ts"
import { compareSame, type Comparison, comparison } from "./compare.ts"
import { complete, create, discard, type Generation, lock, rebuildLock, stored, swap } from "./generations.ts"
import { isOutgrown } from "./quarantine.ts"
import { makeWaitOut } from "./waitOut.ts"

/** Whether to replace tables that are outdated, or any, or none. */
export type Purpose = "upgrade" | "rebuild" | "check"

/** Another process has taken this for left behind. */
class Superseded extends Schema.TaggedError<Superseded>()("Superseded", {}) {
  override get message(): string {
    return "another process has begun to make them anew"
  }
}

const turnMillis = 250
const logMillis = 10_000
/** What is left to catch up with while the live tables wait. */
const restMax = 1000
const swapMillis = 200
const swapMillisMax = 3000

export interface Source {
  readonly sql: SqlClient
  readonly log: EventLog["Service"]
  readonly version: number
}

/** Whether the live tables are of an older version, or of code that could not read what this one can. */
export const isOutdated = (
  { log, sql, version }: Source,
  live: Generation | undefined
): Effect.Effect<boolean, SqlError | EventLogError> => {
  if (live?.version === version) return isOutgrown(sql, log, live)
  return Effect.succeed(live === undefined || live.version < version)
}

/** Gives no report if there is nothing to upgrade. */
export const rebuild = Effect.fnUntraced(function*(
  source: Source,
  purpose: Purpose,
  onProgress: (progress: RebuildProgress) => Effect.Effect<void>
): Effect.fn.Return<RebuildReport | undefined, Unable> {
  const { log, sql, version } = source
  const { progressed, run } = makeWaitOut()
  let begun = yield* Clock.currentTimeMillis
  let logged = begun
  let mine: number | undefined
  let compared: Comparison | undefined

  const report = Effect.fnUntraced(function*(position: number, target: number) {
    yield* progressed
    const now = yield* Clock.currentTimeMillis
    const eventsPerSecond = Math.round(position / Math.max(now - begun, 1) * 1000)
    yield* onProgress({ version, position, target, eventsPerSecond })
    if (now - logged < logMillis) return
    logged = now
    yield* Effect.logInfo(`The read models are made anew: ${position} of ${target}, ${eventsPerSecond} events a second`)
  })

  const isMine = (found: Generation | undefined): found is Generation =>
    found !== undefined && found.generation === mine
  const made = Effect.filterOrFail(stored(sql, "rebuild"), isMine, () => new Superseded())

  const foldTo = Effect.fnUntraced(function*(target: number) {
    let cursor = (yield* made).position
    const apply = makeApply(
      sql,
      "rebuild",
      (found) => isMine(found) ? Effect.succeed(found) : Effect.fail(new Superseded()),
      (position) => report(position, target)
    )
    yield* log.readAll({ after: cursor }).pipe(
      Stream.takeWhile(({ position }) => position <= target),
      Stream.runForEachArray(Effect.fnUntraced(function*(events) {
        yield* apply(events, cursor)
        cursor = events.at(-1)!.position
      }))
    )
  })

  /** The same version is caught up with and never overtaken, so that both can be compared. */
  const target = Effect.gen(function*() {
    const live = yield* stored(sql, "live")
    return live?.version === version ? live.position : Math.max(live?.position ?? 0, yield* log.head)
  })

  const catchUp = Effect.gen(function*() {
    while (true) {
      const to = yield* target
      const { position } = yield* made
      yield* foldTo(to)
      if (to - position <= restMax) return
    }
  })

  const replace = (live: Generation | undefined, patienceMillis: number) =>
    sql.withTransaction(Effect.gen(function*() {
      const own = yield* lock(sql, "rebuild")
      // Last, for this is to be as durable as what is live.
      const old = yield* lock(sql, "live")
      if (!isMine(own) || old?.generation !== live?.generation) return yield* new Superseded()
      const position = Math.max(own.position, old?.position ?? 0)
      const rest = yield* log.readAll({ after: own.position }).pipe(
        Stream.takeWhile((event) => event.position <= position),
        Stream.runCollect
      )
      const quarantined = yield* lay(sql, own, rest)
      yield* swap(sql, old, { ...own, position, quarantined }, patienceMillis)
    }))

  /** Readers of the old tables are waited for, a little longer each time. */
  const replaceSoon = Effect.fnUntraced(function*(live: Generation | undefined) {
    let patience = swapMillis
    while (true) {
      yield* catchUp
      const replaced = yield* replace(live, patience).pipe(
        Effect.as(true),
        Effect.catchIf(isHeldUp, () => Effect.succeed(false))
      )
      if (replaced) return
      yield* Effect.logInfo(`The new read models wait for readers of the old ones, up to ${patience} ms at a time`)
      patience = Math.min(patience * 2, swapMillisMax)
      yield* Effect.sleep(patience)
    }
  })

  const attempt = Effect.gen(function*() {
    yield* turn(sql)
    const live = yield* stored(sql, "live")
    // An answer to the swap may have been lost with the connection.
    if (live !== undefined && live.generation === mine) return compared
    if (purpose === "upgrade" && !(yield* isOutdated(source, live))) return undefined
    if (purpose === "check" && live?.version !== version) {
      return yield* new Unable({
        problem: `the live ones are of version ${live?.version}, and this process makes version ${version}`
      })
    }
    if (!isMine(yield* stored(sql, "rebuild"))) {
      yield* discard(sql)
      // Who is interrupted here has to know what there is to throw away.
      yield* Effect.uninterruptible(
        Effect.map(create(sql, version), ({ generation }) => mine = generation)
      )
      begun = yield* Clock.currentTimeMillis
      const head = yield* log.head
      if (head > 0) yield* Effect.logInfo(announcement(version, live, head))
    }
    yield* catchUp
    yield* complete(sql, yield* made)
    yield* catchUp
    compared = yield* live?.version === version ? compareSame(sql, foldTo) : comparison(sql)
    if (purpose !== "check") yield* replaceSoon(live)
    return compared
  })

  const result = yield* run(Effect.scoped(attempt)).pipe(
    Effect.ensuring(Effect.suspend(() => mine === undefined ? Effect.void : Effect.ignoreCause(discard(sql, mine))))
  )
  if (result === undefined) return undefined
  const finished: RebuildReport = { ...result, version, millis: (yield* Clock.currentTimeMillis) - begun }
  if (result.position > 0) {
    yield* result.differences.length > 0 ? Effect.logWarning(summary(finished)) : Effect.logInfo(summary(finished))
  }
  return finished
})

/** Waits until nobody else makes a generation, and keeps others from it until the scope closes. */
const turn = (sql: SqlClient): Effect.Effect<void, SqlError, Scope.Scope> =>
  Effect.gen(function*() {
    const tryLock = yield* rebuildLock(sql)
    if (yield* tryLock) return
    yield* Effect.logInfo("Another process is making the read models anew; this one waits for it")
    while (!(yield* tryLock)) yield* Effect.sleep(turnMillis)
  })

const announcement = (version: number, live: Generation | undefined, head: number): string => {
  const beside = live === undefined ? "there are none yet" : `beside the live ones of version ${live.version}`
  return `The read models of version ${version} are made anew from ${head} events, ${beside}`
}

const isHeldUp = (error: unknown): error is SqlError =>
  isSqlError(error) && (error.reason._tag === "LockTimeoutError" || error.reason._tag === "DeadlockError")
