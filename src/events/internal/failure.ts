/** What the driver and the server have to say about a failure, in one error. */
import { isSqlError } from "effect/sql/SqlError"
import { EventLogError } from "../EventLog.ts"

export const failure = (method: string) => (cause: unknown): EventLogError =>
  new EventLogError({ method, cause: reasonOf(cause) })

export const reasonOf = (cause: unknown): unknown =>
  isSqlError(cause) ? withReason(cause.message, cause.reason.cause) : cause

/** The driver's message says that a query failed, and its cause says why. */
const withReason = (message: string, cause: unknown): Error =>
  new Error(cause instanceof Error && cause.message !== message ? `${message}: ${cause.message}` : message, { cause })
