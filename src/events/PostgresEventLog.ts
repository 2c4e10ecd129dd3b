/**
 * The event log in PostgreSQL: durable, and shared by all processes that use the database.
 *
 * One append is one durable commit, but not one of its own: everything that waits when a commit ends goes into the next
 * one together, in one round trip and one fsync. Who comes alone waits for nobody. `internal/commit.ts` has what a
 * commit says to the database, and `internal/eventLogSchema.ts` what the database makes of it.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Layer, Option, PubSub, Queue, Stream } from "effect"
import { EventLog, type EventLogError } from "./EventLog.ts"
import { answerIn, channel } from "./internal/eventLogSchema.ts"
import { failure } from "./internal/failure.ts"
import { follow } from "./internal/follow.ts"
import { makeGroupCommit } from "./internal/groupCommit.ts"
import { decodeRows, type EventRow } from "./internal/rows.ts"
import { type LoggedEvent, untilUnreadable } from "./Unreadable.ts"

const pageRows = 1000
/** While notifications do not come, whoever follows the log looks this often. */
const listenAgainMillis = 500

/** Needs the tables that `postgres/Migrations.ts` makes. */
export const layer: Layer.Layer<EventLog, never, PgClient> = Layer.effect(
  EventLog,
  Effect.gen(function*() {
    const sql = yield* PgClient
    const heads = yield* PubSub.sliding<number>(1)

    let seen = 0
    /** A commit of ours is heard of twice, from its answer and by notification. It wakes once. */
    const wake = (head: number) =>
      Effect.suspend(() => {
        if (head <= seen) return Effect.void
        seen = head
        return PubSub.publish(heads, head)
      })
    yield* Effect.forkScoped(hear(sql, heads, wake))

    const page = (method: string, where: string, values: ReadonlyArray<unknown>) =>
      sql.unsafe<EventRow>(`SELECT * FROM events WHERE ${where} LIMIT ${pageRows}`, values).pipe(
        Effect.map(decodeRows),
        Effect.mapError(failure(method))
      )
    const pageOfAll = (method: string) => (after: number) =>
      page(method, "position > $1 ORDER BY position", [BigInt(after)])
    const pageOfStream = (stream: string) => (after: number) =>
      page("read", "stream = $1 AND version > $2 ORDER BY version", [stream, after])

    return EventLog.of({
      append: yield* makeGroupCommit(sql, wake),
      read: (stream, options) =>
        untilUnreadable(pages(pageOfStream(stream), ({ version }) => version, options?.after ?? 0)),
      readAll: (options) => pages(pageOfAll("readAll"), ({ position }) => position, options?.after ?? 0),
      subscribe: (options) => follow(pageOfAll("subscribe"), heads, options?.after ?? 0),
      findAnswer: (stream, commandId) =>
        page("findAnswer", answerIn, [stream, commandId]).pipe(
          Effect.flatMap((found) => Stream.runHead(untilUnreadable(Stream.fromIterable(found))))
        ),
      truncate: (stream, before) =>
        sql.unsafe<{ readonly count: bigint }>(truncate, [stream, before]).pipe(
          Effect.map((rows) => Number(rows[0]?.count ?? 0)),
          Effect.mapError(failure("truncate"))
        ),
      head: sql.unsafe<{ readonly head: bigint }>("SELECT coalesce(max(position), 0) AS head FROM events").pipe(
        Effect.map((rows) => Number(rows[0]?.head ?? 0)),
        Effect.mapError(failure("head"))
      )
    })
  })
)

const truncate = `
WITH gone AS (
  DELETE FROM events WHERE stream = $1 AND version < $2::integer
  AND EXISTS (SELECT FROM events e WHERE e.stream = $1 AND e.version = $2::integer)
  RETURNING 1
)
SELECT count(*) AS count FROM gone`

/** Page after page until one is not full: a slow reader holds no connection. */
const pages = (
  page: (after: number) => Effect.Effect<ReadonlyArray<LoggedEvent>, EventLogError>,
  place: (event: LoggedEvent) => number,
  after: number
): Stream.Stream<LoggedEvent, EventLogError> =>
  Stream.paginate(after, (after) =>
    Effect.map(page(after), (events) => {
      const last = events.at(-1)
      return [events, last === undefined || events.length < pageRows ? Option.none() : Option.some(place(last))]
    }))

/** Wakes whoever follows the log when another process commits. */
const hear = (sql: PgClient, heads: PubSub.PubSub<number>, wake: (head: number) => Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const notifications = yield* sql.listen(channel)
    // What was committed before the server listened for us is found by looking.
    yield* PubSub.publish(heads, 0)
    while (true) {
      const news = yield* Queue.takeAll(notifications)
      yield* wake(Math.max(...news.map(({ payload }) => Number(payload))))
    }
  }).pipe(
    Effect.scoped,
    Effect.catch((error) =>
      Effect.logWarning(
        `${failure("hear of the commits of other processes")(error).message}; it looks for them instead`
      )
    ),
    Effect.andThen(PubSub.publish(heads, 0)),
    Effect.andThen(Effect.sleep(listenAgainMillis)),
    Effect.forever
  )
