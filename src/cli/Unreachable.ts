/** What to say of a PostgreSQL that cannot be reached: where it should be, and nothing of who would log in there. */
import { Predicate, Redacted } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { CommandFailed } from "./Failure.ts"

/** In place of an error of the network. What a PostgreSQL itself says, of its databases and roles, is not one. */
export const unreachable = (url: Redacted.Redacted, error: SqlError): SqlError | CommandFailed => {
  const code = error.reason._tag === "ConnectionError" ? networkCodeOf(error.reason.cause) : undefined
  if (code === undefined) return error
  return new CommandFailed({
    message:
      `PostgreSQL at ${addressIn(Redacted.value(url))} cannot be reached (${code}): is it running, and is the URL ` +
      "in --database-url or MAKIMA_DATABASE_URL right?"
  })
}

/** The driver has no code for the one of its own. */
const networkCodeOf = (cause: unknown): string | undefined => {
  if (Predicate.hasProperty(cause, "code") && /^E[A-Z_]+$/.test(String(cause.code))) return String(cause.code)
  return cause instanceof Error && cause.message === "Connection timed out" ? "no answer" : undefined
}

/** As the driver reads it: parameters go before what is in its place. */
const addressIn = (text: string): string => {
  const url = new URL(text)
  const host = url.searchParams.get("host") ?? (url.hostname === "" ? "localhost" : url.hostname)
  const port = url.searchParams.get("port") ?? (url.port === "" ? "5432" : url.port)
  return `${host}:${port}`
}
