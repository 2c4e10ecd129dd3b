/** A log whose process can be killed at a certain append: before it is committed, or when it is and nobody has heard. */
import { Deferred, Effect, Stream } from "effect"
import { EventLog } from "../../src/events/EventLog.ts"

export interface Death {
  /** The append of this life, counted from 1, at which it comes. */
  readonly append: number
  readonly isCommitted: boolean
}

export interface Mortal {
  readonly log: EventLog["Service"]
  /** Waits until the process is killed. */
  readonly killed: Effect.Effect<void>
  readonly isDead: () => boolean
  /** How many appends this life has begun. */
  readonly appends: () => number
}

/** What one life of the process sees of a log that outlives it. A dead process does nothing to the log any more. */
export const makeMortal = (log: EventLog["Service"], death: Death | undefined): Mortal => {
  const killed = Deferred.makeUnsafe<void>()
  let appends = 0
  let isDead = false
  const alive = <A, E>(effect: Effect.Effect<A, E>) => Effect.suspend(() => isDead ? Effect.never : effect)
  const die = Effect.andThen(Deferred.succeed(killed, undefined), Effect.never)
  return {
    log: EventLog.of({
      ...log,
      append: Effect.fnUntraced(function*(parts, about) {
        if (isDead) return yield* Effect.never
        appends += 1
        if (appends !== death?.append) return yield* log.append(parts, about)
        isDead = true
        // Nothing that comes of the commit reaches this life.
        if (death.isCommitted) yield* Effect.uninterruptible(log.append(parts, about))
        return yield* die
      }),
      claim: (...claim) => alive(log.claim(...claim)),
      read: (stream, options) => Stream.unwrap(alive(Effect.sync(() => log.read(stream, options)))),
      readAll: (options) => Stream.unwrap(alive(Effect.sync(() => log.readAll(options))))
    }),
    killed: Deferred.await(killed),
    isDead: () => isDead,
    appends: () => appends
  }
}
