/** What the driver and the server have to say about a failure, in one error. */
import { Predicate } from "effect"
import { isSqlError } from "effect/sql/SqlError"
import { EventLogError } from "../EventLogError.ts"

export const failure = (method: string) => (cause: unknown): EventLogError =>
  new EventLogError({ method, cause: reasonOf(cause) })

export const reasonOf = (cause: unknown): unknown =>
  isSqlError(cause) ? withReason(cause.message, cause.reason.cause) : cause

/** What is asked for is refused before anybody tries. */
export const refused = (method: string, why: string): EventLogError =>
  new EventLogError({ method, cause: new Error(why), refused: true })

/** The same where something may have been committed all the same. */
export const commitFailure = (method: string) => (cause: unknown): EventLogError =>
  new EventLogError({ method, cause: reasonOf(cause), outcome: isCertain(cause) ? "nothing" : "unknown" })

/**
 * Nothing was committed if there was no connection to say it through, or if the server says that the statement failed.
 * Everything else, such as a server that goes away, could have happened at any moment before, during or after a commit.
 */
const isCertain = (cause: unknown): boolean => {
  if (!isSqlError(cause)) return false
  const { reason } = cause
  if (reason._tag === "ConnectionError" && reason.operation === "connect") return true
  return Predicate.hasProperty(reason.cause, "severityUnlocalized") && reason.cause.severityUnlocalized === "ERROR"
}

/** The driver's message says that a query failed, and its cause says why. */
const withReason = (message: string, cause: unknown): Error =>
  new Error(cause instanceof Error && cause.message !== message ? `${message}: ${cause.message}` : message, { cause })
