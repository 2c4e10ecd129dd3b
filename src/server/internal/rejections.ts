/** What every refusal and failure of the runtime is in HTTP: the one place that maps them. */
import { Effect } from "effect"
import { streamOf } from "../../actors/Directive.ts"
import type { Rejection } from "../../actors/DirectiveCommand.ts"
import type { ActorUnavailable } from "../../actors/internal/mailbox.ts"
import type { EventLogError } from "../../events/EventLog.ts"
import type { UnreadableEvent } from "../../events/Unreadable.ts"
import type { PositionNotReached, ProjectionsStopped } from "../../projections/Projections.ts"
import type { InvalidCursor, ReadModelError } from "../../projections/ReadModel.ts"
import { type ApiError, BadRequest, Conflict, NotFound, Unavailable, Unprocessable } from "../ApiError.ts"
import type { ApiKeysError } from "../ApiKeys.ts"

/** The world lets us down: what exactly happened is for the log, not for whoever asked. */
type Failure = ReadModelError | EventLogError | ApiKeysError | UnreadableEvent

export type Refusal =
  | Rejection
  | ActorUnavailable
  | InvalidCursor
  | PositionNotReached
  | ProjectionsStopped
  | Failure

const apiError = (refusal: Refusal): ApiError => {
  const { _tag: code, message } = refusal
  switch (refusal._tag) {
    case "DirectiveNotFound":
    case "StepNotFound":
    case "TaskNotFound":
    case "MemoryNotFound":
    case "NotYourTask":
    case "DirectiveGone":
      return new NotFound({ error: { code, message } })
    case "DirectiveExists":
    case "NothingToComplete":
      return new Conflict({ error: { code, message } })
    case "DirectiveInState":
    case "StepInState":
      return new Conflict({ error: { code, message, details: { status: refusal.status } } })
    case "InvalidStep": {
      const { field, index, name, problem } = refusal
      return new Unprocessable({ error: { code, message, details: { index, field, name, problem } } })
    }
    case "KeyReused": {
      const { answered, refused } = refusal
      return new Conflict({ error: { code, message, details: { answered, refused } } })
    }
    case "InvalidCursor":
      return new BadRequest({ error: { code, message, details: { field: "cursor" } } })
    case "PositionNotReached":
      return new Unavailable({ error: { code, message, details: { reached: refusal.reached } } })
    case "ActorUnavailable": {
      const { address, parked } = refusal
      if (parked === undefined) return new Unavailable({ error: { code, message } })
      return new Unavailable({
        error: { code: "ActorParked", message: `${message}. ${remedyFor(address)}`, details: { parked } }
      })
    }
    case "ProjectionsStopped": {
      const { reached } = refusal
      return new Unavailable({
        error: {
          code,
          message: `The read models stopped at position ${reached}; the server's log says why`,
          details: { reached }
        }
      })
    }
    case "ReadModelError":
    case "EventLogError":
    case "ApiKeysError":
      return new Unavailable({ error: { code: "StorageUnavailable", message: "The database cannot be used now" } })
    case "UnreadableEvent": {
      const { position, schemaVersion, type } = refusal
      const event = `the ${type} (version ${schemaVersion}) at position ${position}`
      return new Unavailable({
        error: {
          code,
          message: `This server cannot read ${event} of this directive; its log and \`makima log\` say why`
        }
      })
    }
  }
}

/** What lets a parked actor run again, once its cause is gone. */
const remedyFor = (address: string): string =>
  address.startsWith(streamOf(""))
    ? `\`makima directive resume ${address.slice(streamOf("").length)}\` lets it run again`
    : "`makima daemons resume` lets it run again"

export const refuse = (refusal: Refusal): Effect.Effect<never, ApiError> => {
  const error = Effect.fail(apiError(refusal))
  switch (refusal._tag) {
    case "ReadModelError":
    case "EventLogError":
    case "ApiKeysError":
    case "ProjectionsStopped":
    case "UnreadableEvent":
      return Effect.andThen(Effect.logError(refusal.message), error)
    default:
      return error
  }
}
