/** What is wrong with requests before any handler sees them: their parts, their size, their route. */
import { Cause, Context, Effect, type Layer } from "effect"
import * as ByteSize from "effect/ByteSize"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware } from "effect/http-api"
import type { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import { HttpServerError } from "effect/http/HttpServerError"
import { within } from "../../postgres/Patience.ts"
import { Problems } from "../Api.ts"
import { type ApiError, BadRequest, type ErrorBody, NotFound, Unprocessable } from "../ApiError.ts"
import { fieldName, findingOf } from "../Findings.ts"

export const bodyBytesMax = 1024 * 1024

/** Names the field that does not fit. */
export const layerProblems = HttpApiMiddleware.layerSchemaErrorTransform(Problems, (problem) => {
  const error = fromSchemaError(problem)
  return Effect.fail(error ?? problem)
})

const fromSchemaError = ({ cause, kind }: HttpApiSchemaError): ApiError | undefined => {
  const { message, path } = findingOf(cause.issue)
  const field = fieldName(path)
  const code = "InvalidField"
  switch (kind) {
    // An id that cannot be one is the id of nothing.
    case "Params":
      return new NotFound({
        error: { code: "NotFound", message: `There is no such ${path[0] === "id" ? "id" : field}` }
      })
    case "Query":
    case "Headers":
      return new BadRequest({ error: { code, message: `${field}: ${message}`, details: { field } } })
    case "Payload":
      if (path.length === 0) {
        const problem = message === unreadableJson ? "The body is not JSON" : `The body: ${message}`
        return new BadRequest({ error: { code: "InvalidBody", message: problem } })
      }
      return new Unprocessable({ error: { code, message: `${field}: ${message}`, details: { field } } })
    // An answer that does not fit its schema is our bug.
    case "Body":
    case "ResponseHeaders":
      return undefined
  }
}

/** How the platform says that a body does not parse. */
const unreadableJson = "Expected a valid JSON body"

export const errorResponse = (
  status: number,
  error: ErrorBody["error"],
  headers?: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ error }, { status, ...(headers === undefined ? {} : { headers }) })

const bodyTooLarge = errorResponse(
  413,
  { code: "BodyTooLarge", message: `A body can have ${bodyBytesMax} bytes`, details: { bytesMax: bodyBytesMax } },
  // What is still on its way is not worth reading.
  { connection: "close" }
)

const noSuchRoute = ({ method, url }: HttpServerRequest.HttpServerRequest) =>
  errorResponse(404, {
    code: "RouteNotFound",
    message: `There is no ${method} ${url.replace(/\?.*/s, "").slice(0, 200)}`
  })

const ourBug = errorResponse(500, { code: "InternalError", message: "The server made a mistake; its log has more" })

const unreadable = errorResponse(400, { code: "InvalidBody", message: "The body cannot be read" })

const wrongContentType = errorResponse(400, {
  code: "InvalidBody",
  message: "The body is not JSON: it needs Content-Type: application/json"
})

/**
 * How long an answer may take to begin, in milliseconds. Whoever asks again with the same idempotency key gets the answer
 * that there may have been.
 */
export const AnswerMillisMax = Context.Reference<number>("makima-runtime/server/AnswerMillisMax", {
  defaultValue: () => 10_000
})

const noAnswer = errorResponse(503, {
  code: "NoAnswer",
  message: "It took too long; a command may or may not have happened"
})

/** Nobody can say for how long, so it is soon. */
const retryAfterSeconds = "1"

/** The connection of a daemon is one request, for as long as it lasts. */
const isUpgrade = ({ headers }: HttpServerRequest.HttpServerRequest) => "upgrade" in headers

/** Gives every answer that no handler made the form that all errors have. */
export const layerFallback: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.middleware(
  (httpEffect) =>
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      if (Number(request.headers["content-length"]) > bodyBytesMax) return bodyTooLarge
      const answer = httpEffect.pipe(
        Effect.provideService(HttpServerRequest.MaxBodySize, ByteSize.bytes(bodyBytesMax)),
        Effect.catchCause((cause) => {
          const known = answerTo(request, Cause.squash(cause))
          if (known !== undefined) return Effect.succeed(known)
          // Whoever asked is gone, or the server stops.
          if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
          return Effect.as(Effect.logError(`${request.method} ${request.url} failed`, cause), ourBug)
        })
      )
      if (isUpgrade(request)) return yield* answer
      const response = yield* within(yield* AnswerMillisMax, answer, Effect.succeed(noAnswer))
      if (response.status === 415) return wrongContentType
      return response.status === 503
        ? HttpServerResponse.setHeader(response, "retry-after", retryAfterSeconds)
        : response
    }),
  { global: true }
)

const answerTo = (request: HttpServerRequest.HttpServerRequest, problem: unknown) => {
  if (!(problem instanceof HttpServerError)) return undefined
  const { reason } = problem
  if (reason._tag === "RouteNotFound") return noSuchRoute(request)
  if (reason._tag !== "RequestParseError") return undefined
  return reason.reason === "BodyTooLarge" ? bodyTooLarge : unreadable
}
