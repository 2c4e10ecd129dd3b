/** The one fiber that commits: whatever waits when a commit ends goes into the next one. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import { Cause, Deferred, Effect, Exit, Queue } from "effect"
import { patiently } from "../../postgres/Patience.ts"
import type { EventLog, RecordedEvent } from "../EventLog.ts"
import { EventLogError, type StreamFenced } from "../EventLogError.ts"
import { malformation, nameMalformation } from "./check.ts"
import * as Commit from "./commit.ts"
import { commitFailure, isRefusal, refused } from "./failure.ts"
import * as Pending from "./pending.ts"

/** Appends and claims that wait for the next commit. Who comes when it is full waits for a place. */
const waitingMax = 4096

/** Gives `append` and `claim`. `onCommit` hears the position of the newest event after each commit. */
export const makeGroupCommit = Effect.fnUntraced(function*(
  sql: PgClient,
  onCommit: (head: number) => Effect.Effect<unknown>
) {
  const queue = yield* Queue.bounded<Pending.Pending>(waitingMax)
  const unsettled = new Set<Pending.Pending>()

  const fail = (pending: Pending.Pending, error: EventLogError) => {
    unsettled.delete(pending)
    if (pending._tag === "Append") Deferred.doneUnsafe(pending.reply, Exit.fail(error))
    else Deferred.doneUnsafe(pending.reply, Exit.fail(error))
  }

  const settle = (encoded: Commit.Encoded, answer: Commit.Answer): number => {
    let head = 0
    for (const [i, outcome] of Commit.outcomes(encoded, answer).entries()) {
      if (Exit.isSuccess(outcome)) head = Math.max(head, outcome.value.at(-1)?.position ?? 0)
      const pending = encoded.appends[i]!
      unsettled.delete(pending)
      Deferred.doneUnsafe(pending.reply, outcome)
    }
    for (const [i, claimed] of Commit.claimed(encoded, answer).entries()) {
      const pending = encoded.claims[i]!
      unsettled.delete(pending)
      Deferred.doneUnsafe(pending.reply, claimed)
    }
    return head
  }

  const commit: (group: ReadonlyArray<Pending.Pending>) => Effect.Effect<void> = Effect.fnUntraced(
    function*(group) {
      const encoded = Commit.encode(group)
      for (const pending of group) pending.sent = true
      const [answer] = yield* patiently(sql.unsafe<Commit.Answer>(Commit.statement, encoded.parameters))
      const head = settle(encoded, answer!)
      if (head > 0) yield* onCommit(head)
    },
    // Whatever goes wrong with a group, the next one is committed.
    (committing, group) =>
      Effect.catchCause(committing, (cause) => {
        const error = Cause.squash(cause)
        // The database did nothing, because of one of them: it is found by halves, and the others are committed.
        if (group.length > 1 && isRefusal(error)) return Effect.forEach(halvesOf(group), commit, { discard: true })
        return Effect.sync(() => {
          for (const pending of group) {
            if (unsettled.has(pending)) fail(pending, commitFailure(methodOf(pending))(error))
          }
        })
      })
  )

  // Runs after the committer below is gone: whoever still waits then would wait for ever.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Queue.shutdown(queue),
      Effect.sync(() => {
        for (const pending of unsettled) fail(pending, closed(pending))
      })
    )
  )
  yield* Effect.forkScoped(Effect.gen(function*() {
    while (true) {
      yield* Queue.peek(queue)
      // Those whom the last commit answered may be about to append again: they come before we look.
      yield* Effect.yieldNow
      const taken = yield* Queue.takeAll(queue)
      let waiting: ReadonlyArray<Pending.Pending> = taken.filter(({ abandoned }) => !abandoned)
      while (waiting.length > 0) {
        const group = Pending.nextGroup(waiting)
        yield* commit(group)
        waiting = waiting.slice(group.length).filter(({ abandoned }) => !abandoned)
      }
    }
  }))

  const wait = Effect.fnUntraced(
    function*<A, E>(pending: Pending.Pending & { readonly reply: Deferred.Deferred<A, E> }) {
      unsettled.add(pending)
      if (!(yield* Queue.offer(queue, pending))) fail(pending, closed(pending))
      return yield* Deferred.await(pending.reply)
    },
    (waiting, pending) =>
      Effect.onInterrupt(waiting, () =>
        Effect.sync(() => {
          pending.abandoned = true
          unsettled.delete(pending)
        }))
  )

  const append: EventLog["Service"]["append"] = Effect.fnUntraced(function*(appends, about) {
    const malformed = malformation(appends, about)
    if (malformed !== undefined) return yield* refused("append", malformed)
    if (appends.length === 0) return []
    const reply = yield* Deferred.make<ReadonlyArray<RecordedEvent>, Pending.AppendError>()
    const pending = Pending.toAppend(appends, about, reply)
    const oversized = Pending.oversize(pending)
    return yield* oversized === undefined ? wait(pending) : refused("append", oversized)
  })

  const claim: EventLog["Service"]["claim"] = Effect.fnUntraced(function*(streams, owner, fence) {
    const malformed = nameMalformation(fence === undefined ? streams : [...streams, fence.stream], [owner])
    if (malformed !== undefined) return yield* refused("claim", malformed)
    if (streams.length === 0) return []
    const reply = yield* Deferred.make<ReadonlyArray<number>, StreamFenced | EventLogError>()
    return yield* wait(Pending.toClaim(streams, owner, fence, reply))
  })

  return { append, claim }
})

/** In their order, and without those for whom nobody waits any more. */
const halvesOf = (group: ReadonlyArray<Pending.Pending>): ReadonlyArray<ReadonlyArray<Pending.Pending>> => {
  const waiting = group.filter(({ abandoned }) => !abandoned)
  const half = Math.ceil(waiting.length / 2)
  return [waiting.slice(0, half), waiting.slice(half)].filter(({ length }) => length > 0)
}

const methodOf = ({ _tag }: Pending.Pending): string => _tag === "Append" ? "append" : "claim"

const closed = (pending: Pending.Pending): EventLogError =>
  new EventLogError({
    method: methodOf(pending),
    cause: new Error("it is closed"),
    outcome: pending.sent ? "unknown" : "nothing"
  })
