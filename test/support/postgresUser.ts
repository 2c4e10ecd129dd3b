/** A process that uses the bundled PostgreSQL in a directory: says when it has it, and leaves when its input ends. */
import { Effect } from "effect"
import { BundledPostgres } from "../../src/postgres/BundledPostgres.ts"

const [directory] = process.argv.slice(2)

await Effect.runPromise(
  Effect.gen(function*() {
    const { host } = yield* BundledPostgres
    process.stdout.write(`${host}\n`)
    yield* Effect.callback<void>((resume) => {
      process.stdin.once("end", () => resume(Effect.void)).resume()
    })
  }).pipe(Effect.provide(BundledPostgres.layer(directory!)))
)
