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

/** The same where something may have been committed all the same, or where the database refused what one asked for. */
export const commitFailure = (method: string) => (cause: unknown): EventLogError =>
  isRefusal(cause)
    ? new EventLogError({ method, cause: reasonOf(cause), refused: true })
    : new EventLogError({ method, cause: reasonOf(cause), outcome: isCertain(cause) ? "nothing" : "unknown" })

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

/**
 * Classes of SQLSTATE that are about what was said, so that saying it again is of no use: bad data, a violated constraint,
 * a statement that is wrong or not allowed, and what a trigger raises. All others can pass by themselves.
 */
const refusalClasses: ReadonlySet<string> = new Set(["22", "23", "42", "P0"])

/** Whether the database will not have a statement, of which it did nothing then. */
export const isRefusal = (cause: unknown): boolean =>
  isCertain(cause) && isSqlError(cause) && Predicate.hasProperty(cause.reason.cause, "code") &&
  refusalClasses.has(String(cause.reason.cause.code).slice(0, 2))

/** The driver's message says that a query failed, and its cause says why. */
const withReason = (message: string, cause: unknown): Error =>
  new Error(cause instanceof Error && cause.message !== message ? `${message}: ${cause.message}` : message, { cause })
