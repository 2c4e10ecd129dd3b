/**
 * The event log in PostgreSQL: durable, and shared by all processes that use the database.
 *
 * One append is one durable commit, but not one of its own: everything that waits when a commit ends goes into the next
 * one together, in one round trip and one fsync. Who comes alone waits for nobody. `internal/commit.ts` has what a
 * commit says to the database, `internal/eventLogSchema.ts` what the database makes of it, and `internal/reads.ts` how it
 * is asked.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Layer, PubSub, Queue } from "effect"
import { EventLog } from "./EventLog.ts"
import { channel } from "./internal/eventLogSchema.ts"
import { failure } from "./internal/failure.ts"
import { follow } from "./internal/follow.ts"
import { makeGroupCommit } from "./internal/groupCommit.ts"
import { head, makeReads, pageAfter } from "./internal/reads.ts"

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

    return EventLog.of({
      ...yield* makeGroupCommit(sql, wake),
      ...makeReads(sql),
      subscribe: (options) =>
        follow(pageAfter(sql), heads, options?.after === "now" ? head(sql) : Effect.succeed(options?.after ?? 0)),
      head: head(sql)
    })
  })
)

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
