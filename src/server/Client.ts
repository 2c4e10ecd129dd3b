/**
 * A client of the API, made from the same definition as the server. Whatever goes wrong comes back as one line that says
 * what to do about it.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Effect, Layer, Predicate, type Redacted, Schema, Stream } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { Api } from "./Api.ts"
import { ApiError, ErrorBody } from "./ApiError.ts"
import { fieldName, findingOf } from "./Findings.ts"

/** `code` is the server's, or says what kept the request from it. `message` is one line. */
export class ClientError extends Schema.TaggedError<ClientError>()("ClientError", {
  code: Schema.String,
  message: Schema.String,
  details: Schema.optionalKey(Schema.Json)
}) {}

export type ApiClient = HttpApiClient.ForApi<typeof Api>

export class MakimaClient extends Context.Service<MakimaClient, {
  readonly url: string
  /** Calls the API: `call((api) => api.directives.get({ params: { id }, query: {} }))`. */
  call<A, E, R>(use: (api: ApiClient) => Effect.Effect<A, E, R>): Effect.Effect<A, ClientError, R>
  /** The same for answers that are streams. */
  stream<A, E, E2, R, R2>(
    use: (api: ApiClient) => Effect.Effect<Stream.Stream<A, E2, R2>, E, R>
  ): Stream.Stream<A, ClientError, R | R2>
}>()("makima-runtime/server/MakimaClient") {
  static readonly layer = (options: {
    readonly url: string
    readonly apiKey: Redacted.Redacted
  }): Layer.Layer<MakimaClient> => Layer.effect(MakimaClient, make(options)).pipe(Layer.provide(httpClient))
}

// Not fetch, which ends streams on which nothing comes for five minutes.
const httpClient = NodeHttpClient.layerNodeHttp

const make = Effect.fnUntraced(function*(options: { readonly url: string; readonly apiKey: Redacted.Redacted }) {
  const url = options.url.replace(/\/+$/, "")
  const explain = (error: unknown) => Effect.flatMap(clientError(url, error), Effect.fail)
  /** What does not fit its schema here came from the other side. */
  const explainAnswer = (error: unknown) => Schema.isSchemaError(error) ? Effect.fail(unreadable(url)) : explain(error)
  const api = yield* HttpApiClient.make(Api, {
    transformClient: HttpClient.mapRequest((request) =>
      request.pipe(HttpClientRequest.prependUrl(url), HttpClientRequest.bearerToken(options.apiKey))
    ),
    transformResponse: (decoded) => decoded.pipe(Effect.catch(explainAnswer))
  })
  return MakimaClient.of({
    url,
    call: (use) => use(api).pipe(Effect.catch(explain)),
    stream: (use) =>
      use(api).pipe(
        Effect.catch(explain),
        Effect.map((answers) => answers.pipe(Stream.catch((error) => Stream.fromEffect(explainAnswer(error))))),
        Stream.unwrap
      )
  })
})

const isApiError = Schema.is(ApiError)
const decodeErrorBody = Schema.decodeUnknownEffect(ErrorBody)

const clientError = (url: string, error: unknown): Effect.Effect<ClientError> => {
  if (error instanceof ClientError) return Effect.succeed(error)
  if (isApiError(error)) return Effect.succeed(answered(error.error))
  if (HttpClientError.isHttpClientError(error)) return withoutAnswer(url, error.reason)
  if (Schema.isSchemaError(error)) {
    const { message, path } = findingOf(error.issue)
    const place = path.length === 0 ? "" : `${fieldName(path)}: `
    return Effect.succeed(new ClientError({ code: "InvalidField", message: place + message }))
  }
  return Effect.succeed(new ClientError({ code: "Unknown", message: oneLine(String(error)) }))
}

const answered = ({ code, details, message }: ErrorBody["error"]): ClientError =>
  code === "Unauthorized"
    ? new ClientError({ code, message: "401: the API key was not accepted" })
    : new ClientError({ code, message: oneLine(message), ...(details === undefined ? {} : { details }) })

const withoutAnswer = (url: string, reason: HttpClientError.HttpClientErrorReason): Effect.Effect<ClientError> => {
  switch (reason._tag) {
    case "TransportError": {
      const message = codeOf(reason.cause) === "ECONNREFUSED"
        ? `connection refused at ${url}: is makima serve running?`
        : `no connection to ${url}: ${describe(reason.cause)}`
      return Effect.succeed(new ClientError({ code: "NoConnection", message }))
    }
    case "InvalidUrlError":
      return Effect.succeed(new ClientError({ code: "InvalidUrl", message: `${JSON.stringify(url)} is not a URL` }))
    case "EncodeError":
      return Effect.succeed(new ClientError({ code: "InvalidField", message: oneLine(reason.message) }))
    // Statuses that the API does not have end up here, with an error body or without.
    case "StatusCodeError":
    case "DecodeError":
    case "EmptyBodyError": {
      const { status } = reason.response
      if (status < 300) return Effect.succeed(unreadable(url))
      return reason.response.json.pipe(
        Effect.flatMap(decodeErrorBody),
        Effect.map(({ error }) => answered(error)),
        Effect.orElseSucceed(() =>
          new ClientError({
            code: "UnexpectedAnswer",
            message: `${url} answered with status ${status}: is it a makima server?`
          })
        )
      )
    }
  }
}

const unreadable = (url: string): ClientError =>
  new ClientError({
    code: "UnexpectedAnswer",
    message: `${url} gave an answer that cannot be read: is it a makima server?`
  })

/** Where several addresses were tried, Node has an error for each. */
const codeOf = (cause: unknown): unknown => {
  if (cause instanceof AggregateError) return codeOf(cause.errors[0])
  if (Predicate.hasProperty(cause, "code") && cause.code !== undefined) return cause.code
  return Predicate.hasProperty(cause, "cause") ? codeOf(cause.cause) : undefined
}

const describe = (cause: unknown): string =>
  cause instanceof Error && cause.message !== "" ? oneLine(cause.message) : String(codeOf(cause) ?? "unknown error")

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim()
