/** What the commands that talk to a server have in common: where it is, the key, and how to call it. */
import { Config, Effect, Option, type Redacted, Schedule, Schema } from "effect"
import { Argument, Flag } from "effect/cli"
import { SecureRandom } from "effect/crypto"
import { urlsIn } from "../daemon/LocalDaemon.ts"
import { DirectiveId } from "../events/Ids.ts"
import { type ApiClient, type ClientError, MakimaClient } from "../server/Client.ts"
import { isHttpUrl } from "./Configuration.ts"
import { UsageError } from "./Failure.ts"

const apiUrlDefault = "http://127.0.0.1:7420"

const notServer = (url: string): string => `it, or MAKIMA_API_URL, is not a URL like ${apiUrlDefault}: ${url}`

export const remoteFlags = {
  apiUrl: Flag.String("api-url").pipe(
    Flag.withFallbackConfig(Config.NonEmptyString("MAKIMA_API_URL")),
    Flag.filter(isHttpUrl, notServer),
    Flag.withDefault(apiUrlDefault),
    Flag.withDescription("The server; http://127.0.0.1:7420 if unset (MAKIMA_API_URL)")
  ),
  apiKey: Flag.Redacted("api-key").pipe(
    Flag.withFallbackConfig(Config.Redacted("MAKIMA_API_KEY")),
    Flag.optional,
    Flag.withDescription("An API key, from makima keys create (MAKIMA_API_KEY)")
  )
}

const fromEnvironment = Config.schema(DirectiveId, "MAKIMA_DIRECTIVE_ID")

/** The same with several servers, with commas in between. */
export const apiUrlsFlag = Flag.String("api-url").pipe(
  Flag.withFallbackConfig(Config.NonEmptyString("MAKIMA_API_URL")),
  Flag.filter((urls) => urlsIn(urls).length > 0 && urlsIn(urls).every(isHttpUrl), notServer),
  Flag.withDefault(apiUrlDefault),
  Flag.withDescription("The server, or several with commas in between, which are tried in turn (MAKIMA_API_URL)")
)

/** The directive that a command is about, where its arguments are for something else. */
export const directiveFlag = Flag.String("directive").pipe(
  Flag.withSchema(DirectiveId),
  Flag.withFallbackConfig(fromEnvironment),
  Flag.withDescription("The id of the directive (MAKIMA_DIRECTIVE_ID)")
)

/** The directive that a command is about, as its only argument. */
export const directiveArgument = Argument.String("directive-id").pipe(
  Argument.withSchema(DirectiveId),
  Argument.withFallbackConfig(fromEnvironment),
  Argument.withDescription("The id of the directive (MAKIMA_DIRECTIVE_ID)")
)

export interface Remote {
  readonly apiUrl: string
  readonly apiKey: Option.Option<Redacted.Redacted>
}

const withClient = <A, E, R>(remote: Remote, effect: Effect.Effect<A, E, R | MakimaClient>) =>
  Effect.gen(function*() {
    const apiKey = yield* Effect.fromOption(remote.apiKey).pipe(
      Effect.mapError(() => new UsageError({ message: "no API key: give --api-key, or set MAKIMA_API_KEY" }))
    )
    return yield* Effect.provide(effect, MakimaClient.layer({ url: remote.apiUrl, apiKey }))
  })

/** Reads something from the server. */
export const query = <A, E>(
  remote: Remote,
  use: (api: ApiClient) => Effect.Effect<A, E>
): Effect.Effect<A, ClientError | UsageError> =>
  withClient(remote, MakimaClient.use((client) => patient(client.call(use))))

/**
 * Sends a command. Each call has an idempotency key of its own, so that trying again after a broken connection cannot do
 * the same thing twice.
 */
export const command = <A, E>(
  remote: Remote,
  use: (api: ApiClient, headers: { readonly "idempotency-key": string }) => Effect.Effect<A, E>
) =>
  withClient(
    remote,
    Effect.gen(function*() {
      const client = yield* MakimaClient
      const key = yield* Effect.flatMap(SecureRandom.SecureRandom, (random) => random.uuidV4())
      return yield* patient(client.call((api) => use(api, { "idempotency-key": key })))
    })
  )

/** An agent should not fail because the server is starting anew; a person wants to be told at once. */
const patient = <A, R>(call: Effect.Effect<A, ClientError, R>) =>
  Effect.gen(function*() {
    const inTask = Option.isSome(
      yield* Config.option(Config.schema(Schema.NonEmptyString, "MAKIMA_TASK_ID")).pipe(
        Effect.orElseSucceed(() => Option.none<string>())
      )
    )
    return yield* inTask
      ? Effect.retry(call, { while: ({ code }) => passing.has(code), schedule: reconnecting })
      : call
  })

/** What is so while a server starts, or its database is away, and will not stay so. */
const passing: ReadonlySet<string> = new Set(["NoConnection", "NoAnswer", "StorageUnavailable", "ActorUnavailable"])

const reconnecting = Schedule.max([
  Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")]),
  Schedule.recurs(20)
])
