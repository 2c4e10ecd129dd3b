/** A process that holds leases: it renews, notices whom it can take over and whether it has lost, whatever the table is. */
import { Clock, Deferred, Effect, Queue, type Scope, Stream } from "effect"
import type { Fence } from "../../events/EventLog.ts"
import type { OwnerId } from "../../events/Ids.ts"
import { type LeasesService, type LeaseTimes, LeaseUnknown, type Location } from "../Leases.ts"
import * as Validity from "./validity.ts"

/** The table that the processes share, as one of them uses it. What fails may be tried again. */
export interface Table {
  /** False when another process has taken over from this one. */
  readonly renew: Effect.Effect<boolean, LeaseUnknown>
  /**
   * Fences all processes that are dead and moves their owners here, at once. Without `judging`, dead are only those that
   * said so. Where that reaches the table only after the next renewal it does nothing, and after a break it judges nobody.
   */
  readonly takeOver: (judging: boolean) => Effect.Effect<ReadonlyArray<OwnerId>, LeaseUnknown>
  /** All owners that this process has. */
  readonly owners: Effect.Effect<ReadonlyArray<OwnerId>, LeaseUnknown>
  readonly advertise: (url: string) => Effect.Effect<void, LeaseUnknown>
  /** Takes those of the owners that nobody has, and says where each of them is: nothing when this process is fenced. */
  readonly take: (owners: ReadonlyArray<OwnerId>) => Effect.Effect<ReadonlyMap<OwnerId, Location>, LeaseUnknown>
}

/** What this process is called, and what all that it writes names. */
export interface Place {
  readonly node: string
  readonly fence: Fence
}

const fenced = new LeaseUnknown({ because: "another server has taken over from this one" })

/** Holds leases until the scope closes. It is valid from the start. */
export const hold = Effect.fnUntraced(function*(
  { fence, node }: Place,
  table: Table,
  times: LeaseTimes
): Effect.fn.Return<LeasesService, LeaseUnknown, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = (): Validity.Moment => ({
    wall: clock.currentTimeMillisUnsafe(),
    monotonic: Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  })
  const held = new Set<OwnerId>()
  /** Those that turned out to be here since the first take-over that was not answered: it may be what brought them. */
  const found = new Set<OwnerId>()
  const takenOver = yield* Queue.unbounded<ReadonlyArray<OwnerId>>()
  const lost = yield* Deferred.make<string>()
  let isLost = false
  let mayHaveMore = false
  let validity: Validity.Validity | undefined
  let renewal = yield* Deferred.make<void>()
  const isValid = () => !isLost && validity !== undefined && Validity.isValid(validity, now(), times)

  const lose = Effect.suspend(() => {
    isLost = true
    return Deferred.succeed(lost, `${node} was out of reach for too long, and another server has taken over from it`)
  })

  const renew = Effect.gen(function*() {
    const sent = now()
    if (!(yield* table.renew)) return yield* lose
    validity = Validity.renewed(validity, sent, times)
    const waiting = renewal
    renewal = Deferred.makeUnsafe()
    yield* Deferred.succeed(waiting, undefined)
    if (!mayHaveMore) found.clear()
    // Without an answer it may have happened all the same, and then nobody else goes on with them.
    const taken = yield* Effect.tapError(
      table.takeOver(Validity.mayJudge(validity, now(), times)),
      () =>
        Effect.sync(() => {
          mayHaveMore = true
        })
    )
    const isNew = (ownerId: OwnerId) => !held.has(ownerId) || found.has(ownerId)
    const more = mayHaveMore ? (yield* table.owners).filter(isNew) : []
    mayHaveMore = false
    const owners = [...new Set([...taken, ...more])]
    for (const ownerId of owners) held.add(ownerId)
    if (owners.length > 0) yield* Queue.offer(takenOver, owners)
  })

  const take = Effect.fnUntraced(function*(owners: ReadonlyArray<OwnerId>) {
    if (isLost) return yield* fenced
    const locations = yield* table.take(owners)
    for (const [ownerId, { _tag }] of locations) {
      if (_tag !== "Here" || held.has(ownerId)) continue
      held.add(ownerId)
      found.add(ownerId)
    }
    return locations
  })

  yield* renew
  let isAway = false
  yield* Effect.sleep(times.renewMillis).pipe(
    Effect.andThen(renew),
    Effect.andThen(Effect.sync(() => {
      isAway = false
    })),
    Effect.catch((error) =>
      Effect.suspend(() => {
        const log = isAway ? Effect.logDebug : Effect.logWarning
        isAway = true
        if (validity !== undefined) validity = Validity.tried(validity, now(), times)
        return log(`${node} could not renew its lease, and tries on`, error)
      })
    ),
    Effect.repeat({ until: () => isLost }),
    Effect.forkScoped
  )

  return {
    locate: Effect.fnUntraced(function*(ownerId) {
      if (held.has(ownerId) && !isLost) return { _tag: "Here" }
      return (yield* take([ownerId])).get(ownerId) ?? (yield* fenced)
    }),
    take: Effect.fnUntraced(function*(owners) {
      const locations = yield* take([...new Set(owners)])
      return new Set([...locations].flatMap(([ownerId, { _tag }]) => _tag === "Here" ? [ownerId] : []))
    }),
    isValid,
    unansweredMillis: () =>
      isLost || validity === undefined ? Infinity : Validity.unansweredMillis(validity, now(), times),
    valid: Effect.gen(function*() {
      while (!isValid()) yield* Deferred.await(renewal)
    }),
    advertise: table.advertise,
    fence,
    takenOver: Stream.fromQueue(takenOver),
    lost: Deferred.await(lost)
  }
})
