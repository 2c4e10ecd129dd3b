/** The snapshots in PostgreSQL, beside the log: a process finds those that another one took. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Layer, Option } from "effect"
import { reasonOf } from "./internal/failure.ts"
import { type Snapshot, Snapshots, SnapshotsError } from "./Snapshots.ts"

/** A larger state is not kept: nothing that large goes through a connection well. */
const stateCharsMax = 16 * 1024 * 1024

// A snapshot that is lost in a crash is taken again, so nobody waits for the disk.
const save = `
INSERT INTO snapshots (stream, version, position, at, schema, digest, state)
SELECT $1, $2::integer, $3::bigint, $4::bigint, $5, $6, $7 FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (stream) DO UPDATE SET
  version = excluded.version, position = excluded.position, at = excluded.at, schema = excluded.schema,
  digest = excluded.digest, state = excluded.state`

interface Row {
  readonly stream: string
  readonly version: number
  readonly position: bigint
  readonly at: bigint
  readonly schema: string
  readonly digest: string
  readonly state: string
}

const fromRow = ({ at, position, ...row }: Row): Snapshot => ({ ...row, position: Number(position), at: Number(at) })

/** Needs the tables that `postgres/Migrations.ts` makes. */
export const layer: Layer.Layer<never, never, PgClient> = Layer.effect(
  Snapshots,
  Effect.gen(function*() {
    const sql = yield* PgClient
    const run = <A extends object>(method: string, statement: string, values: ReadonlyArray<unknown>) =>
      sql.unsafe<A>(statement, values).pipe(
        Effect.mapError((error) => new SnapshotsError({ method, cause: reasonOf(error) }))
      )
    return {
      save: ({ at, digest, position, schema, state, stream, version }) =>
        state.length > stateCharsMax
          ? Effect.fail(
            new SnapshotsError({ method: "save", cause: new Error(`${stream} has ${state.length} characters`) })
          )
          : Effect.asVoid(
            run("save", save, [stream, version, BigInt(position), BigInt(at), schema, digest, state])
          ),
      load: (stream) =>
        Effect.map(
          run<Row>("load", "SELECT * FROM snapshots WHERE stream = $1", [stream]),
          ([row]) => Option.map(Option.fromUndefinedOr(row), fromRow)
        ),
      drop: (stream) =>
        Effect.asVoid(
          stream === undefined
            ? run("drop", "DELETE FROM snapshots", [])
            : run("drop", "DELETE FROM snapshots WHERE stream = $1", [stream])
        )
    }
  })
)
