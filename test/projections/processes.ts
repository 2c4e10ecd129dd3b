/** What tests of the read models start: histories in a log, and processes that share a database. */
import { Deferred, Effect, Layer, Logger, Stream } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { EventLog, type StreamAppend } from "../../src/events/EventLog.ts"
import type { LoggedEvent } from "../../src/events/Unreadable.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import { Projections } from "../../src/projections/Projections.ts"
import { ReadModel } from "../../src/projections/ReadModel.ts"
import { now, stream } from "../support/directive.ts"
import { connection, layerDatabase } from "../support/postgres.ts"
import { daemons, type Decided, fixed, inTurns } from "./histories.ts"

export const lives = inTurns(
  [{ at: now, append: daemons("ada") as Decided["append"] }],
  fixed("first", "ada", 1),
  fixed("second", "ada", 2),
  fixed("third", "bob", 3)
)

export const write = Effect.fnUntraced(function*(appends: ReadonlyArray<Decided>) {
  const log = yield* EventLog
  for (const { append, at } of appends) yield* log.append([append], { at })
})

export const writeEvents = (events: StreamAppend["events"]) =>
  Effect.flatMap(EventLog, (log) => log.append([{ stream, expected: "any", events }], { at: now }))

export const catchUp = Effect.gen(function*() {
  const { head } = yield* EventLog
  const { awaitPosition } = yield* Projections
  yield* awaitPosition(yield* head)
})

/** A database and a log in memory, which processes share. */
export const database = Layer.fresh(Layer.mergeAll(layerDatabase, EventLog.layerMemory, Logger.layer([])))

/** What a process has that makes the read models of this version. */
export const served = (version = 1) =>
  Layer.fresh(Layer.merge(Projections.layerVersion(version), ReadModel.layerVersion(version)))

/** One more process with connections of its own, until the scope closes. */
export const another = Effect.fnUntraced(function*(version = 1, log?: EventLog["Service"]) {
  const sql = yield* SqlClient
  const [row] = yield* sql<{ readonly name: string }>`SELECT current_database() AS name`
  return yield* Layer.build(
    served(version).pipe(
      Layer.provideMerge(Layer.fresh(layerUnmigrated(connection(row!.name)))),
      Layer.provideMerge(Layer.succeed(EventLog, log ?? (yield* EventLog)))
    )
  )
})

/** The log for a process whose rebuild comes to a halt at its first events. */
export const halting = Effect.gen(function*() {
  const log = yield* EventLog
  const halted = yield* Deferred.make<void>()
  const release = yield* Deferred.make<void>()
  const halt = Effect.andThen(Deferred.succeed(halted, undefined), Deferred.await(release))
  return {
    log: EventLog.of({ ...log, readAll: (options) => Stream.tap(log.readAll(options), () => halt) }),
    halted: Deferred.await(halted),
    goOn: Deferred.succeed(release, undefined)
  }
})

/** The log as a process reads it that knows less, or other things. */
export const readAs = (read: (logged: LoggedEvent) => LoggedEvent) =>
  Effect.map(EventLog, (log) =>
    EventLog.of({
      ...log,
      readAll: (options) => Stream.map(log.readAll(options), read),
      subscribe: (options) => Stream.map(log.subscribe(options), read)
    }))
