/** What several commands can be told: as flags, or else by the environment (spec section 9). */
import { Config, Duration, Effect, FileSystem, Layer, Logger, Option, Path, Redacted, References, Schema } from "effect"
import { Flag, GlobalFlag } from "effect/cli"
import { defaultPolicy as daemonPolicy } from "../actors/DaemonRegistry.ts"
import { DaemonPolicy } from "../actors/DaemonRegistryActor.ts"
import { defaultPolicy } from "../actors/Directive.ts"
import { DirectivePolicy } from "../actors/DirectiveActor.ts"
import { defaultTimes as leaseTimes, LeaseTimes } from "../actors/Leases.ts"
import { HeartbeatMillis } from "../daemon/Protocol.ts"
import * as Database from "../postgres/Database.ts"
import { RequestsPerSecond } from "../server/RateLimit.ts"
import { UsageError } from "./Failure.ts"
import { unreachable } from "./Unreachable.ts"

const Seconds = Schema.Finite.check(Schema.isGreaterThan(0))
const Count = Schema.Int.check(Schema.isGreaterThan(0))
const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

/** A number of seconds, as a flag and as a variable. */
const seconds = (name: string, fallback: number, description: string) =>
  Flag.Finite(name).pipe(
    Flag.withSchema(Seconds),
    Flag.withFallbackConfig(Config.schema(Schema.FiniteFromString.check(Schema.isGreaterThan(0)), variableOf(name))),
    Flag.withDefault(fallback),
    Flag.withDescription(`${description}, in seconds; ${fallback} if unset (${variableOf(name)})`)
  )

const count = (name: string, fallback: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withSchema(Count),
    Flag.withFallbackConfig(Config.schema(Schema.FiniteFromString.pipe(Schema.decodeTo(Count)), variableOf(name))),
    Flag.withDefault(fallback),
    Flag.withDescription(`${description}; ${fallback} if unset (${variableOf(name)})`)
  )

const variableOf = (flag: string): string => `MAKIMA_${flag.toUpperCase().replaceAll("-", "_")}`

export const json = Flag.Boolean("json").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Print JSON on standard output: one document, or one a line where it streams")
)

/** It is part of the name of a stream. */
const nodeCharsMax = 200

export const isHttpUrl = (url: string): boolean =>
  URL.canParse(url) && ["http:", "https:"].includes(new URL(url).protocol)

const isPostgresUrl = (url: string): boolean =>
  URL.canParse(url) && ["postgres:", "postgresql:"].includes(new URL(url).protocol)

/** Where the event log is. */
export const storeFlags = {
  databaseUrl: Flag.Redacted("database-url").pipe(
    Flag.withFallbackConfig(Config.Redacted("MAKIMA_DATABASE_URL")),
    Flag.filter(
      (url) => isPostgresUrl(Redacted.value(url)),
      () => "it, or MAKIMA_DATABASE_URL, is not a URL like postgres://user:password@host:5432/database"
    ),
    Flag.optional,
    Flag.withDescription("A PostgreSQL of yours, instead of the bundled one (MAKIMA_DATABASE_URL)")
  ),
  dataDir: Flag.String("data-dir").pipe(
    Flag.withFallbackConfig(Config.NonEmptyString("MAKIMA_DATA_DIR")),
    Flag.withDefault(".makima"),
    Flag.withDescription(
      "Where the bundled PostgreSQL and the local daemon keep their data; .makima if unset (MAKIMA_DATA_DIR)"
    )
  )
}

export interface Store {
  readonly databaseUrl: Option.Option<Redacted.Redacted>
  readonly dataDir: string
}

export const layerDatabase = ({ dataDir, databaseUrl }: Store) => {
  const url = Option.getOrUndefined(databaseUrl)
  return Database.layer({ url, dataDirectory: dataDir }).pipe(
    Layer.catchTag(
      "SqlError",
      (error) => Layer.effectContext(Effect.fail(url === undefined ? error : unreachable(url, error)))
    )
  )
}

/** The same for commands that make nothing: who has mistyped the data directory is told so. */
export const layerExistingDatabase = (store: Store) =>
  Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { dataDir, databaseUrl } = store
    // One that cannot be looked at is for the database to complain about.
    const isThere = Option.isSome(databaseUrl) ||
      (yield* Effect.orElseSucceed(fs.exists(path.join(dataDir, "postgres")), () => true))
    if (isThere) return layerDatabase(store)
    return yield* new UsageError({
      message: `there is no log in ${dataDir}: give --data-dir or --database-url, or set MAKIMA_DATA_DIR or ` +
        "MAKIMA_DATABASE_URL"
    })
  }))

/** Where a server listens. */
export const addressFlags = {
  host: Flag.String("host").pipe(
    Flag.withFallbackConfig(Config.NonEmptyString("MAKIMA_HOST")),
    Flag.withDefault("127.0.0.1"),
    Flag.withDescription("The address to listen on; 127.0.0.1 if unset (MAKIMA_HOST)")
  ),
  port: Flag.Int("port").pipe(
    Flag.withSchema(Port),
    Flag.withFallbackConfig(Config.schema(Schema.FiniteFromString.pipe(Schema.decodeTo(Port)), "MAKIMA_PORT")),
    Flag.withDefault(7420),
    Flag.withDescription("The port to listen on, 0 for any that is free; 7420 if unset (MAKIMA_PORT)")
  )
}

/** What a server is to the others on its database. */
export const nodeFlags = {
  node: Flag.String("node").pipe(
    Flag.withFallbackConfig(Config.NonEmptyString("MAKIMA_NODE")),
    Flag.withSchema(Schema.NonEmptyString.check(Schema.isMaxLength(nodeCharsMax))),
    Flag.optional,
    Flag.withDescription("The name of this server among those on its database; host:port if unset (MAKIMA_NODE)")
  ),
  advertiseUrl: Flag.String("advertise-url").pipe(
    Flag.withFallbackConfig(Config.NonEmptyString("MAKIMA_ADVERTISE_URL")),
    Flag.filter(isHttpUrl, (url) => `it, or MAKIMA_ADVERTISE_URL, is not a URL like http://host:7420: ${url}`),
    Flag.optional,
    Flag.withDescription("Where the other servers reach this one; its own address if unset (MAKIMA_ADVERTISE_URL)")
  ),
  lease: seconds(
    "lease-seconds",
    leaseTimes.ttlMillis / 1000,
    "How long a server may stand still before the others take over from it"
  )
}

/** In proportion to the default: all servers on a database have to agree on it. */
export const layerLeaseTimes = ({ lease }: { readonly lease: number }) => {
  const scale = (lease * 1000) / leaseTimes.ttlMillis
  const { killedMillis, renewMillis, ttlMillis } = leaseTimes
  return Layer.succeed(LeaseTimes)({
    renewMillis: Math.ceil(renewMillis * scale),
    killedMillis: Math.ceil(killedMillis * scale),
    ttlMillis: Math.ceil(ttlMillis * scale)
  })
}

/** Server and daemons have to agree on it. */
export const heartbeatFlag = seconds("heartbeat-seconds", 30, "How often a daemon shows that it is there")

export const layerHeartbeat = (input: { readonly heartbeat: number }) =>
  Layer.succeed(HeartbeatMillis)(input.heartbeat * 1000)

/** The bounds that the runtime goes by. */
export const policyFlags = {
  heartbeat: heartbeatFlag,
  reconcile: seconds("reconcile-seconds", 15, "How often to look whether anything was left lying"),
  grace: seconds("grace-seconds", daemonPolicy.graceMillis / 1000, "How long a daemon may be away"),
  handOvers: count("hand-overs", defaultPolicy.handOversMax, "How often a task is handed over before it fails"),
  completionAttempts: count(
    "completion-attempts",
    defaultPolicy.completionAttemptsMax,
    "How often a pull request is tried"
  ),
  completionDelay: seconds(
    "completion-delay-seconds",
    defaultPolicy.completionDelayMillis / 1000,
    "The wait before a pull request's second attempt; it doubles with each"
  ),
  rateLimit: count("rate-limit", 50, "Requests a second that a key may make")
}

export interface Policies {
  readonly heartbeat: number
  readonly reconcile: number
  readonly grace: number
  readonly handOvers: number
  readonly completionAttempts: number
  readonly completionDelay: number
  readonly rateLimit: number
}

export const layerPolicies = (policies: Policies) =>
  Layer.mergeAll(
    Layer.succeed(DirectivePolicy)({
      ...defaultPolicy,
      handOversMax: policies.handOvers,
      completionAttemptsMax: policies.completionAttempts,
      completionDelayMillis: policies.completionDelay * 1000
    }),
    layerHeartbeat(policies),
    Layer.succeed(DaemonPolicy)({ graceMillis: policies.grace * 1000 }),
    Layer.succeed(RequestsPerSecond)(policies.rateLimit)
  )

export const reconcileOf = ({ reconcile }: Policies): Duration.Input => Duration.seconds(reconcile)

/** What is logged: what `--log-level` says, else from `level` on. */
export const layerLogLevel = (level: "Info" | "Warn") =>
  Layer.effect(References.MinimumLogLevel, Effect.map(GlobalFlag.LogLevel, Option.getOrElse(() => level)))

/** Logs are for people beside the program: on standard error. */
export const layerLogs = (level: "Info" | "Warn") =>
  Layer.mergeAll(
    Logger.layer([Logger.consolePretty()]),
    Layer.succeed(References.LogToStderr)(true),
    layerLogLevel(level)
  )
