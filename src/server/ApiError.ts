/**
 * How the API says no: one class a status, and `{"error":{"code","message","details"?}}` in every body.
 *
 * There is no 403: a key may do everything with what its owner has, and what another owner has is not there.
 */
import { Schema } from "effect"

const fields = {
  error: Schema.Struct({
    /** For programs: it names the problem and stays the same. */
    code: Schema.String,
    /** For people: one sentence. */
    message: Schema.String,
    details: Schema.optionalKey(Schema.Json)
  })
}

export class BadRequest extends Schema.Error<BadRequest>("makima-runtime/server/BadRequest")(fields, {
  httpApiStatus: 400,
  description: "The request cannot be read"
}) {}

export class Unauthorized extends Schema.Error<Unauthorized>("makima-runtime/server/Unauthorized")(fields, {
  httpApiStatus: 401,
  description: "There is no API key, or it is not accepted"
}) {}

export class NotFound extends Schema.Error<NotFound>("makima-runtime/server/NotFound")(fields, {
  httpApiStatus: 404,
  description: "It is not there, or it is another owner's"
}) {}

export class Conflict extends Schema.Error<Conflict>("makima-runtime/server/Conflict")(fields, {
  httpApiStatus: 409,
  description: "The state of the thing does not allow it"
}) {}

export class BodyTooLarge extends Schema.Error<BodyTooLarge>("makima-runtime/server/BodyTooLarge")(fields, {
  httpApiStatus: 413,
  description: "The body is longer than 1 MiB"
}) {}

export class Unprocessable extends Schema.Error<Unprocessable>("makima-runtime/server/Unprocessable")(fields, {
  httpApiStatus: 422,
  description: "A field of the body is wrong: the details say which"
}) {}

export class TooManyRequests extends Schema.Error<TooManyRequests>("makima-runtime/server/TooManyRequests")(fields, {
  httpApiStatus: 429,
  description: "The key has used up its requests: Retry-After says for how many seconds"
}) {}

export class Unavailable extends Schema.Error<Unavailable>("makima-runtime/server/Unavailable")(fields, {
  httpApiStatus: 503,
  description: "It cannot be answered now; a command may or may not have happened"
}) {}

export const ApiErrors = [
  BadRequest,
  Unauthorized,
  NotFound,
  Conflict,
  BodyTooLarge,
  Unprocessable,
  TooManyRequests,
  Unavailable
] as const

export const ApiError = Schema.Union(ApiErrors)
export type ApiError = typeof ApiError.Type

/** An error body of any status, as a reader finds it. */
export const ErrorBody = Schema.Struct(fields)
export type ErrorBody = typeof ErrorBody.Type
