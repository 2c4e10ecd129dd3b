/** Trouble with the database passes: whoever meets it waits and tries again. What will not pass is `Unable`. */
import { Cause, Effect, Exit } from "effect"
import { isSqlError } from "effect/sql/SqlError"
import { messageOf, Unable } from "./apply.ts"

const retryDelayMillis = 100
const retryDelayMillisMax = 10_000

export interface WaitOut {
  /** Tries again for as long as it takes, a little later each time. */
  readonly run: <A, E, R>(attempt: Effect.Effect<A, E, R>) => Effect.Effect<A, Unable, R>
  /** Something went well: the next trouble is a new one. */
  readonly progressed: Effect.Effect<void>
}

export const makeWaitOut = (): WaitOut => {
  let failures = 0
  return {
    progressed: Effect.sync(() => void (failures = 0)),
    run: Effect.fnUntraced(function*(attempt) {
      while (true) {
        const exit = yield* Effect.exit(attempt)
        if (Exit.isSuccess(exit)) return exit.value
        const trouble = troubleIn(exit.cause)
        if (trouble === undefined) return yield* Effect.failCause(exit.cause as Cause.Cause<Unable>)
        const delay = Math.min(retryDelayMillis * 2 ** failures, retryDelayMillisMax)
        failures += 1
        yield* Effect.logWarning(`The read models wait ${delay} ms because of this: ${trouble}`)
        yield* Effect.sleep(delay)
      }
    })
  }
}

/**
 * What to say about it, if it may pass. A transaction whose connection broke cannot be rolled back either, and dies of
 * that, whatever it failed of.
 */
const troubleIn = ({ reasons }: Cause.Cause<unknown>): string | undefined => {
  if (reasons.some(Cause.isInterruptReason)) return undefined
  const failures = reasons.filter(Cause.isFailReason).map(({ error }) => error)
  const errors = [...failures, ...reasons.filter(Cause.isDieReason).map(({ defect }) => defect)]
  if (errors.some((error) => error instanceof Unable)) return undefined
  const broken = errors.find(isSqlError)
  if (broken !== undefined) return messageOf(broken)
  const [failure] = failures
  return failures.length === errors.length && failure instanceof Error ? failure.message : undefined
}
