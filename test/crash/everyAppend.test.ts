/**
 * Goal: a server that is killed at any append of a run leaves a run that ends as if nothing had happened: the same
 * statuses, one pull request, each agent started once, no task handed over anew while its agent runs.
 *
 * Method: the example's directive on the runtime's own layers, in virtual time, once for each append of an undisturbed run
 * and each side of the commit; then again with a second crash in the life that follows. A few of them on PostgreSQL.
 *
 * Not here: sockets, processes and git, which `npm run crash` kills for real.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as Directive from "../../src/actors/Directive.ts"
import { DirectivePolicy } from "../../src/actors/DirectiveActor.ts"
import { NodeName } from "../../src/actors/SupervisorActor.ts"
import { HeartbeatMillis } from "../../src/daemon/Protocol.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { layerActors } from "../../src/Makima.ts"
import { layerAdmin, layerDatabase } from "../support/postgres.ts"
import { carryOut } from "./lives.ts"
import type { Death } from "./mortalLog.ts"

const server = (log: EventLog["Service"]) =>
  Layer.fresh(layerActors).pipe(Layer.provide([Layer.succeed(EventLog)(log), Layer.succeed(NodeName)("server")]))

const inMemory = (...deaths: ReadonlyArray<Death>) =>
  Effect.gen(function*() {
    const log = yield* EventLog
    const run = yield* Effect.forkChild(carryOut({ log, server, agentMillis: 1_000 }, deaths))
    for (let seconds = 0; run.pollUnsafe() === undefined; seconds++) {
      if (seconds > secondsMax) return yield* Effect.die(new Error(`it does not end within ${secondsMax} s`))
      yield* TestClock.adjust("1 second")
    }
    return yield* Fiber.join(run)
  }).pipe(Effect.provide(Layer.fresh(EventLog.layerMemory)))

/** What a hand-over that never arrived costs: the daemon is asked twice, and then left out for a while. */
const secondsMax = 300

/** The whole runtime, in real time, on a database of its own. */
const inPostgres = (...deaths: ReadonlyArray<Death>) =>
  Effect.gen(function*() {
    const log = yield* EventLog
    return yield* carryOut({ log, server, agentMillis: 30 }, deaths)
  }).pipe(
    Effect.provide(Layer.fresh(PostgresEventLog.layer.pipe(Layer.provide(layerDatabase)))),
    Effect.provideService(HeartbeatMillis, 200),
    Effect.provideService(DirectivePolicy, { ...Directive.defaultPolicy, exclusionMillis: 200 })
  )

const described = ({ append, isCommitted }: Death) => `killed ${isCommitted ? "after" : "before"} append ${append}`

type Ended = Effect.Success<ReturnType<typeof carryOut>>

/** What a dying server complains of is no news. */
const quiet = Logger.layer([])

const deathsAt = (append: number): ReadonlyArray<Death> => [
  { append, isCommitted: false },
  { append, isCommitted: true }
]

const endsAsIfNothingHappened = Effect.fnUntraced(function*(
  run: (...deaths: ReadonlyArray<Death>) => Effect.Effect<Ended, unknown>,
  undisturbed: Ended,
  ...deaths: ReadonlyArray<Death>
) {
  const what = deaths.map(described).join(", then ")
  const { appends, doubles, outcome } = yield* run(...deaths).pipe(
    Effect.catchCause((cause) => Effect.die(new Error(`${what}: ${Cause.pretty(cause)}`)))
  )
  assert.deepStrictEqual(outcome, undisturbed.outcome, what)
  assert.deepStrictEqual(doubles, [], what)
  assert.deepStrictEqual(appends.slice(0, -1), deaths.map(({ append }) => append), what)
})

describe("A run whose server is killed", () => {
  it.effect("at any append ends as if nothing had happened", () =>
    Effect.gen(function*() {
      const undisturbed = yield* inMemory()
      const { appends: [appends], outcome } = undisturbed
      assert.deepStrictEqual([outcome.status, outcome.steps.length, outcome.starts.length], ["idle", 7, 9])
      for (let append = 1; append <= appends!; append++) {
        for (const death of deathsAt(append)) yield* endsAsIfNothingHappened(inMemory, undisturbed, death)
      }
    }).pipe(Effect.provide(quiet)))

  it.effect("at any append, and at one of the next few in the life after, ends as if nothing had happened", () =>
    Effect.gen(function*() {
      const undisturbed = yield* inMemory()
      for (let append = 1; append <= undisturbed.appends[0]!; append++) {
        const [before, after] = deathsAt(append)
        const second = { append: 1 + append % 6, isCommitted: append % 2 === 0 }
        yield* endsAsIfNothingHappened(inMemory, undisturbed, before!, second)
        yield* endsAsIfNothingHappened(inMemory, undisturbed, after!, second)
      }
    }).pipe(Effect.provide(quiet)))

  it.live("at some appends to PostgreSQL ends as if nothing had happened", () =>
    Effect.gen(function*() {
      const undisturbed = yield* inPostgres()
      // Side by side, because a stop waits for a dead log in real time.
      yield* Effect.forEach(
        [3, 8, 12, 16].flatMap(deathsAt),
        (death) => endsAsIfNothingHappened(inPostgres, undisturbed, death),
        { concurrency: "unbounded", discard: true }
      )
    }).pipe(Effect.provide([layerAdmin, quiet])))
})
