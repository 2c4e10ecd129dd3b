/**
 * A process that keeps the read models of a database up to date, to be killed: says when they are, and when it is in the
 * middle of a rebuild, where it then stays.
 */
import { Effect, Layer } from "effect"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import { Projections } from "../../src/projections/Projections.ts"

const [connection, task] = process.argv.slice(2)

const say = (word: string) => Effect.sync(() => process.stdout.write(`${word}\n`))

await Effect.runPromise(
  Effect.gen(function*() {
    const { rebuild } = yield* Projections
    yield* say("following")
    if (task === "rebuild") yield* rebuild(() => Effect.andThen(say("halfway"), Effect.never))
    return yield* Effect.never
  }).pipe(
    Effect.provide(Projections.layer.pipe(
      Layer.provide(PostgresEventLog.layer),
      Layer.provide(layerUnmigrated(JSON.parse(connection!)))
    ))
  )
)
