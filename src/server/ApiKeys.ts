/**
 * API keys: who may use the server, and as which owner.
 *
 * A key is shown once, when it is made. What is stored is its SHA-256: a key is 256 random bits, so nothing slower is
 * needed, and looking a hash up gives nothing away through the time it takes.
 */
import { Cache, Clock, Context, Effect, Exit, Layer, Option, Redacted, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import * as Base64Url from "effect/encoding/Base64Url"
import { SqlClient } from "effect/sql/SqlClient"
import { createHash } from "node:crypto"
import { OwnerId } from "../events/Ids.ts"
import { patiently } from "../postgres/Patience.ts"

/** How long after a revocation elsewhere a process may still take a key. */
const cacheMillis = 5_000
const cachedKeysMax = 10_000

export class ApiKeysError extends Schema.TaggedError<ApiKeysError>()("ApiKeysError", {
  method: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The API keys failed to ${this.method}: ${this.cause instanceof Error ? this.cause.message : this.cause}`
  }
}

/** What is known of a key, apart from the key itself. Times are milliseconds since 1970. */
export const ApiKey = Schema.Struct({
  id: Schema.String,
  ownerId: OwnerId,
  name: Schema.String,
  createdAt: Schema.Natural,
  revokedAt: Schema.NullOr(Schema.Natural)
})
export type ApiKey = typeof ApiKey.Type

export class ApiKeys extends Context.Service<ApiKeys, {
  /** Makes a key. It cannot be shown again. */
  create(
    ownerId: OwnerId,
    name: string
  ): Effect.Effect<{ readonly id: string; readonly key: Redacted.Redacted }, ApiKeysError>
  /** Whose key it is; none for one that does not exist or was revoked. */
  verify(key: Redacted.Redacted): Effect.Effect<Option.Option<OwnerId>, ApiKeysError>
  /** The keys of an owner, or of everybody, oldest first, those that were revoked included. */
  list(ownerId?: OwnerId): Effect.Effect<ReadonlyArray<ApiKey>, ApiKeysError>
  /** False when there is no such key. Other processes notice within five seconds. */
  revoke(id: string): Effect.Effect<boolean, ApiKeysError>
}>()("makima-runtime/server/ApiKeys") {
  static readonly layer: Layer.Layer<ApiKeys, never, SqlClient | SecureRandom.SecureRandom> = Layer.effect(
    ApiKeys,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const random = yield* SecureRandom.SecureRandom

      const owners = yield* Cache.makeWith(
        (hash: string) =>
          Effect.map(
            sql<{ readonly ownerId: OwnerId }>`
              SELECT owner_id AS "ownerId" FROM api_keys WHERE hash = ${hash} AND revoked_at IS NULL`,
            (rows) => Option.fromUndefinedOr(rows[0]?.ownerId)
          ),
        {
          capacity: cachedKeysMax,
          // Only keys that are good are remembered: guesses must not drive them out.
          timeToLive: (exit) => Exit.isSuccess(exit) && Option.isSome(exit.value) ? cacheMillis : 0
        }
      )

      return ApiKeys.of({
        create: Effect.fn("ApiKeys.create")(
          function*(ownerId, name) {
            const id = yield* random.uuidV4()
            const key = `mk_${Base64Url.encode(yield* random.randomBytes(32))}`
            const createdAt = yield* Clock.currentTimeMillis
            yield* sql`
              INSERT INTO api_keys (id, owner_id, name, hash, created_at)
              VALUES (${id}, ${ownerId}, ${name}, ${hashOf(key)}, ${createdAt}::bigint)`
            return { id, key: Redacted.make(key, { label: "API key" }) }
          },
          Effect.mapError((cause) => new ApiKeysError({ method: "create a key", cause }))
        ),
        verify: (key) =>
          patiently(Cache.get(owners, hashOf(Redacted.value(key)))).pipe(
            Effect.mapError((cause) => new ApiKeysError({ method: "verify a key", cause }))
          ),
        list: Effect.fn("ApiKeys.list")(
          function*(ownerId) {
            const rows = yield* sql`
              SELECT id, owner_id AS "ownerId", name, created_at::float8 AS "createdAt",
                revoked_at::float8 AS "revokedAt"
              FROM api_keys ${ownerId === undefined ? sql.literal("") : sql`WHERE owner_id = ${ownerId}`}
              ORDER BY created_at, id`
            return yield* decodeKeys(rows)
          },
          Effect.mapError((cause) => new ApiKeysError({ method: "list the keys", cause }))
        ),
        revoke: Effect.fn("ApiKeys.revoke")(
          function*(id) {
            const now = yield* Clock.currentTimeMillis
            const rows = yield* sql<{ readonly hash: string }>`
              UPDATE api_keys SET revoked_at = coalesce(revoked_at, ${now}::bigint) WHERE id = ${id} RETURNING hash`
            for (const { hash } of rows) yield* Cache.invalidate(owners, hash)
            return rows.length > 0
          },
          Effect.mapError((cause) => new ApiKeysError({ method: "revoke a key", cause }))
        )
      })
    })
  )
}

const decodeKeys = Schema.decodeUnknownEffect(Schema.Array(ApiKey))

const hashOf = (key: string): string => createHash("sha256").update(key).digest("hex")
