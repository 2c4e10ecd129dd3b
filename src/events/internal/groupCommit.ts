/** The one fiber that commits: whatever waits when a commit ends goes into the next one. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import { Cause, Deferred, Effect, Exit, Queue } from "effect"
import type { EventLog, EventLogError, RecordedEvent, VersionConflict } from "../EventLog.ts"
import * as Commit from "./commit.ts"
import { failure } from "./failure.ts"

/** Appends that wait for the next commit. Who comes when it is full waits for a place. */
const waitingAppendsMax = 4096

type AppendError = VersionConflict | EventLogError

const failed = failure("append")

/** Gives `append`. `onCommit` hears the position of the newest event after each commit. */
export const makeGroupCommit = Effect.fnUntraced(function*(
  sql: PgClient,
  onCommit: (head: number) => Effect.Effect<unknown>
) {
  const queue = yield* Queue.bounded<Commit.Pending>(waitingAppendsMax)
  const unsettled = new Set<Commit.Pending>()

  const settle = (pending: Commit.Pending, outcome: Exit.Exit<ReadonlyArray<RecordedEvent>, AppendError>) =>
    Effect.suspend(() => {
      unsettled.delete(pending)
      return Deferred.done(pending.reply, outcome)
    })

  const commit = Effect.fnUntraced(function*(group: ReadonlyArray<Commit.Pending>) {
    const encoded = Commit.encode(group)
    const answer = yield* Effect.exit(sql.unsafe<Commit.Answer>(Commit.statement, encoded.parameters))
    if (Exit.isFailure(answer)) {
      // Whether it was committed is not known if the connection broke. Guessing would be worse than saying so.
      const error = Exit.fail(failed(Cause.squash(answer.cause)))
      return yield* Effect.forEach(group, (pending) => settle(pending, error), { discard: true })
    }
    let head = 0
    const outcomes = Commit.outcomes(encoded.pendings, answer.value[0]!)
    for (const [i, outcome] of outcomes.entries()) {
      if (Exit.isSuccess(outcome)) head = Math.max(head, outcome.value.at(-1)?.position ?? 0)
      yield* settle(encoded.pendings[i]!, outcome)
    }
    yield* onCommit(head)
  })

  // Runs after the committer below is gone: whoever still waits then would wait for ever.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      yield* Queue.shutdown(queue)
      const closed = Exit.fail(failed(new Error("it was closed; whether the events were committed is not known")))
      for (const pending of unsettled) yield* settle(pending, closed)
    })
  )
  yield* Effect.forkScoped(Effect.gen(function*() {
    while (true) {
      yield* Queue.peek(queue)
      // Those whom the last commit answered may be about to append again: they come before we look.
      yield* Effect.yieldNow
      const taken = yield* Queue.takeAll(queue)
      let waiting: ReadonlyArray<Commit.Pending> = taken.filter(({ abandoned }) => !abandoned)
      while (waiting.length > 0) {
        const group = Commit.nextGroup(waiting)
        yield* commit(group)
        waiting = waiting.slice(group.length)
      }
    }
  }))

  const wait = Effect.fnUntraced(function*(pending: Commit.Pending) {
    unsettled.add(pending)
    if (!(yield* Queue.offer(queue, pending))) yield* settle(pending, Exit.fail(failed(new Error("it is closed"))))
    return yield* Deferred.await(pending.reply)
  })

  const append: EventLog["Service"]["append"] = Effect.fnUntraced(function*(appends, about) {
    const reply = yield* Deferred.make<ReadonlyArray<RecordedEvent>, AppendError>()
    const pending = Commit.toPending(appends, about, reply)
    const refusal = Commit.refusal(pending)
    if (refusal !== undefined) return yield* failed(new Error(refusal))
    if (appends.length === 0) return []
    return yield* Effect.onInterrupt(wait(pending), () =>
      Effect.sync(() => {
        pending.abandoned = true
        unsettled.delete(pending)
      }))
  })

  return append
})
