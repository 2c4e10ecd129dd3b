/** What can go wrong with the PostgreSQL that this package brings along, in one line: what, where, and what to do. */
import { Effect, Schema } from "effect"

export class BundledPostgresError extends Schema.TaggedError<BundledPostgresError>()("BundledPostgresError", {
  directory: Schema.String,
  problem: Schema.String,
  advice: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `The bundled PostgreSQL in ${this.directory} ${this.problem}. ${this.advice}`
  }
}

/** For every kind of trouble: somebody else's PostgreSQL does as well. */
export const useAnother = "Or set MAKIMA_DATABASE_URL to a PostgreSQL of your own."

/** Runs what touches the file system; `problem` completes the sentence that begins with the directory. */
export const attempt = <A>(
  directory: string,
  problem: string,
  f: () => A
): Effect.Effect<A, BundledPostgresError> =>
  Effect.try({
    try: f,
    catch: (cause) =>
      new BundledPostgresError({
        directory,
        problem: `${problem}: ${cause instanceof Error ? cause.message : cause}`,
        advice: `Make that possible. ${useAnother}`,
        cause
      })
  })
