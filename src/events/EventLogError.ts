/** What can keep events from being appended or read, apart from events that cannot be read (`Unreadable.ts`). */
import { Effect, Formatter, Predicate, Schema } from "effect"

/** A stream is not where an append takes it to be. Nothing was appended. */
export class VersionConflict extends Schema.TaggedError<VersionConflict>()("VersionConflict", {
  stream: Schema.String,
  /** As it was given, also where that is no version. */
  expected: Schema.Union([Schema.Number, Schema.Literals(["none", "exists", "any"])]),
  actual: Schema.Int
}) {
  override get message(): string {
    return `${this.stream} is at version ${this.actual}, not ${this.expected}`
  }
}

/**
 * The stream has been claimed since this append's owner did: by somebody else, or by the owner itself, where a claim that it
 * had given up came late. Nothing was appended.
 */
export class StreamFenced extends Schema.TaggedError<StreamFenced>()("StreamFenced", {
  stream: Schema.String,
  epoch: Schema.Number,
  /** The epoch of whoever owns the stream now, 0 where nobody does. */
  current: Schema.Int
}) {
  override get message(): string {
    return `${this.stream} has been taken over: its epoch is ${this.current}, not ${this.epoch}`
  }
}

/** What became of an append that failed: certainly nothing, or only the log can tell. */
export const AppendOutcome = Schema.Literals(["nothing", "unknown"])

/**
 * The store cannot be reached, or refused. With `outcome: "unknown"` an append may have been committed, now or in a
 * moment. Whoever needs to know claims the stream, after which it cannot be committed any more, and reads.
 */
export class EventLogError extends Schema.TaggedError<EventLogError>()("EventLogError", {
  method: Schema.String,
  cause: Schema.Defect(),
  outcome: AppendOutcome.pipe(Schema.withConstructorDefault(Effect.succeed("nothing" as const))),
  /** What was asked for is wrong, or the database will not have it: nothing was done, and it would be refused again. */
  refused: Schema.optionalKey(Schema.Literal(true))
}) {
  override get message(): string {
    const doubt = this.outcome === "unknown" ? "; whether it was committed is not known" : ""
    return `The event log failed to ${this.method}: ${reasonIn(this.cause)}${doubt}`
  }
}

/** What is said of it. Whatever shows errors may have made plain objects of them, which have no text of their own. */
const reasonIn = (cause: unknown): string =>
  Predicate.hasProperty(cause, "message") ? String(cause.message) : Formatter.format(cause)
