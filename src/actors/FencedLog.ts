/**
 * The event log as a process may write it that shares it with others: only while its lease is valid, and behind its fence.
 * Reading is free.
 */
import { Effect, Layer } from "effect"
import { EventLog, EventLogError, type Fence, StreamFenced } from "../events/EventLog.ts"
import { Leases, type LeasesService, LeaseTimes } from "./Leases.ts"

/** Over a log, which stays as it is where there is no fence. */
export const layer: Layer.Layer<EventLog, never, EventLog> = Layer.effect(
  EventLog,
  Effect.gen(function*() {
    const log = yield* EventLog
    const leases = yield* Leases
    const { fence } = leases
    if (fence === undefined) return log
    const { killedMillis } = yield* LeaseTimes
    const whenValid = gate(leases, fence, killedMillis)
    return EventLog.of({
      ...log,
      append: (appends, about) =>
        appends.length === 0
          ? log.append(appends, about)
          : Effect.andThen(
            whenValid("append"),
            log.append([...appends, { ...fence, expected: "any", events: [] }], about)
          ),
      claim: (streams, owner) => Effect.andThen(whenValid("claim"), log.claim(streams, owner, fence))
    })
  })
)

/**
 * The log would refuse what comes too late all the same. Waiting spares everybody the attempt while the database is away,
 * and failing then tells whoever asked.
 */
const gate = (leases: LeasesService, { epoch, stream }: Fence, waitMillisMax: number) => (method: string) =>
  Effect.suspend(() => {
    if (leases.isValid()) return Effect.void
    return leases.valid.pipe(
      Effect.raceFirst(
        Effect.andThen(leases.lost, Effect.fail(new StreamFenced({ stream, epoch, current: epoch + 1 })))
      ),
      Effect.timeoutOrElse({
        duration: waitMillisMax,
        orElse: () =>
          Effect.fail(new EventLogError({ method, cause: new Error("the lease of this server is not renewed") }))
      })
    )
  })
