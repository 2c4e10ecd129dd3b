/**
 * Leases in PostgreSQL, each process with a connection of its own, in times that are real, and as short as a machine that is
 * busy with other tests can keep: a process that cannot renew in time is rightly taken for dead.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option, Scope, Stream } from "effect"
import { streamPrefix } from "../../src/actors/internal/leasesSchema.ts"
import { Leases, LeaseTimes } from "../../src/actors/Leases.ts"
import * as PostgresLeases from "../../src/actors/PostgresLeases.ts"
import { OwnerId } from "../../src/events/Ids.ts"
import { layerUnmigrated } from "../../src/postgres/Database.ts"
import { eventually } from "../support/eventually.ts"
import { openLog } from "../support/logs.ts"
import { connection, freshDatabase, layerAdmin } from "../support/postgres.ts"
import { makeProxy, type Place } from "../support/proxy.ts"

const times: LeaseTimes = { renewMillis: 100, killedMillis: 1_600, ttlMillis: 4_000 }
const [ada, bob, eve] = ["ada", "bob", "eve"].map((name) => OwnerId.make(name)) as [OwnerId, OwnerId, OwnerId]

/** A process that is called so, which reaches the database at a place. */
const join = Effect.fnUntraced(function*(database: string, node: string, place?: Place) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const services = yield* Layer.buildWithScope(
    Layer.fresh(PostgresLeases.layer({ node })).pipe(
      Layer.provideMerge(Layer.fresh(layerUnmigrated({ ...connection(database), ...place, maxConnections: 2 }))),
      Layer.provide(Layer.succeed(LeaseTimes)(times))
    ),
    scope
  )
  const leases = Context.get(services, Leases)
  return {
    ...leases,
    where: (ownerId: OwnerId) =>
      Effect.map(leases.locate(ownerId), (location) => location._tag === "Here" ? "here" : location.node),
    stop: Scope.close(scope, Exit.void)
  }
})

const live = (name: string, test: (database: string) => Effect.Effect<void, unknown, Scope.Scope | PgClient>) =>
  it.live(name, () => Effect.flatMap(freshDatabase, test).pipe(Effect.scoped, Effect.provide(layerAdmin)))

describe("Leases in PostgreSQL", () => {
  live("give each of many owners to one of those who want it at once", (database) =>
    Effect.gen(function*() {
      const nodes = yield* Effect.forEach(["a", "b", "c"], (node) => join(database, node))
      const owners = Array.from({ length: 300 }, (_, i) => OwnerId.make(`owner-${i}`))
      const taken = yield* Effect.forEach(nodes, (node, i) => node.take(i === 1 ? owners.toReversed() : owners), {
        concurrency: "unbounded"
      })
      assert.strictEqual(taken.reduce((sum, { size }) => sum + size, 0), owners.length)
      assert.strictEqual(new Set(taken.flatMap((set) => [...set])).size, owners.length)
      yield* nodes[0]!.advertise("http://a")
      yield* nodes[0]!.take([ada])
      assert.deepStrictEqual(yield* nodes[1]!.locate(ada), { _tag: "Elsewhere", node: "a", url: "http://a" })
    }))

  live("refuse a name that a living process has", (database) =>
    Effect.gen(function*() {
      yield* join(database, "a")
      const error = yield* Effect.flip(join(database, "a"))
      assert.strictEqual(error._tag, "NodeNameTaken")
      assert.match(error.message, /^a server that is called a runs on this database: .*--node$/)
    }))

  live(
    "hand on what a process had that has stopped, to a restart of it at once and to others soon",
    (database) =>
      Effect.gen(function*() {
        const a = yield* join(database, "a")
        yield* a.take([ada, bob])
        yield* a.stop
        const again = yield* join(database, "a")
        assert.strictEqual(yield* again.where(ada), "here")
        const b = yield* join(database, "b")
        assert.strictEqual(yield* b.where(bob), "a")
        yield* again.stop
        const taken = yield* Stream.runHead(b.takenOver)
        assert.deepStrictEqual([...Option.getOrThrow(taken)].sort(), [ada, bob])
      })
  )

  live("fence a process whose connection is gone, and everything it appends", (database) =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(connection(database))
      const a = yield* join(database, "a", proxy.place)
      const b = yield* join(database, "b")
      const log = yield* openLog(database)
      yield* a.take([ada])
      const append = (expected: number) =>
        log.append([
          { stream: "some", expected, events: [{ _tag: "MemorySet", key: "k", value: "v" }] },
          { ...a.fence!, expected: "any", events: [] }
        ], { at: 0 })
      yield* append(0)
      yield* proxy.whileRefusing(Effect.gen(function*() {
        yield* eventually("b has ada", Effect.map(b.where(ada), (where) => where === "here"))
        assert.isFalse(a.isValid())
        assert.strictEqual((yield* Effect.flip(append(1)))._tag, "StreamFenced")
        assert.strictEqual((yield* Effect.flip(log.claim(["some"], "a", a.fence)))._tag, "StreamFenced")
        assert.strictEqual((yield* log.streamHead(streamPrefix + "a")).owner, "b")
      }))
      assert.include(yield* a.lost, "another server has taken over")
      assert.strictEqual((yield* Effect.flip(a.locate(eve)))._tag, "LeaseUnknown")
      const again = yield* join(database, "a")
      assert.strictEqual(yield* again.where(ada), "b")
    }))

  const away = (how: "refuses" | "is silent") => (database: string) =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(connection(database))
      const [a, b] = [yield* join(database, "a", proxy.place), yield* join(database, "b", proxy.place)]
      yield* a.take([ada])
      yield* b.take([bob])
      yield* Effect.sleep(times.ttlMillis + 200)
      yield* (how === "refuses" ? proxy.whileRefusing : proxy.whileSilent)(
        Effect.andThen(
          Effect.sleep(times.ttlMillis + 1_000),
          Effect.sync(() => assert.isFalse(a.isValid() || b.isValid()))
        )
      )
      yield* Effect.all([a.valid, b.valid])
      // Long enough for each to have judged the other.
      yield* Effect.sleep(times.ttlMillis + 1_000)
      assert.deepStrictEqual([yield* a.where(ada), yield* b.where(ada)], ["here", "a"])
      assert.deepStrictEqual([yield* a.where(bob), yield* b.where(bob)], ["b", "here"])
    })
  live("take nobody for dead because the database was away", away("refuses"))
  live("take nobody for dead because the database was silent", away("is silent"))

  live("go to another process when theirs stands still with its connection open", (database) =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(connection(database))
      const a = yield* join(database, "a", proxy.place)
      const b = yield* join(database, "b")
      yield* a.take([ada])
      yield* proxy.whileSilent(eventually("b has ada", Effect.map(b.where(ada), (where) => where === "here")))
      assert.include(yield* a.lost, "another server has taken over")
      assert.isFalse(a.isValid())
    }))

  live("keep a process that has lost its connection and makes another", (database) =>
    Effect.gen(function*() {
      const sql = yield* PgClient
      const [a, b] = [yield* join(database, "a"), yield* join(database, "b")]
      yield* a.take([ada])
      for (let i = 0; i < 8; i++) {
        yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = ${database} AND application_name = 'makima lease'`
        yield* Effect.sleep(200)
      }
      assert.strictEqual(yield* b.where(ada), "a")
      yield* a.valid
    }))

  live(
    "refuse the name of a process that has lost its connection and made another",
    (database) =>
      Effect.gen(function*() {
        const sql = yield* PgClient
        const a = yield* join(database, "a")
        yield* a.take([ada])
        const sessions = sql<{ readonly pid: number }>`SELECT pid FROM pg_stat_activity
        WHERE datname = ${database} AND application_name = 'makima lease'`
        const [first] = yield* sessions
        yield* sql`SELECT pg_terminate_backend(${first!.pid}::integer)`
        const hasLock = Effect.map(
          sql`SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid <> ${first!.pid}::integer
          AND database = (SELECT oid FROM pg_database WHERE datname = ${database})`,
          (rows) => rows.length > 0
        )
        yield* eventually("another connection has its lock", hasLock)
        assert.strictEqual((yield* Effect.flip(join(database, "a")))._tag, "NodeNameTaken")
        assert.strictEqual(yield* a.where(ada), "here")
      })
  )

  live(
    "take nothing over for who asked before its latest renewal, nor by the word of who could not renew",
    (database) =>
      Effect.gen(function*() {
        const sql = yield* PgClient
        const ask = (question: string, ...values: ReadonlyArray<unknown>) =>
          Effect.map(
            sql.unsafe<{ readonly answer: unknown }>(`SELECT ${question} AS answer`, values),
            (rows) => rows.map(({ answer }) => answer)
          )
        for (const [node, owner] of [["a", ada], ["b", bob], ["c", eve]]) {
          yield* ask("node_join($1, '8 s')", node)
          yield* sql`INSERT INTO leases VALUES (${owner}, ${node})`
        }
        const renew = Effect.map(ask("node_renew('a', 1, '8 s')"), ([renewal]) => Number(renewal))
        const takeOver = (renewal: number) => ask("node_take_over('a', 1, $1, true, '3 s')", renewal)

        const [earlier, latest] = [yield* renew, yield* renew]
        yield* ask("node_stop('b', 1)")
        assert.deepStrictEqual(yield* takeOver(earlier), [])
        assert.deepStrictEqual(yield* takeOver(latest), [bob])

        yield* sql`UPDATE nodes SET renewed_at = renewed_at - interval '1 min', expires_at = expires_at - interval '1 min'`
        assert.deepStrictEqual(yield* takeOver(latest), [])
        assert.deepStrictEqual(yield* takeOver(yield* renew), [eve])
      }).pipe(Effect.provide(layerUnmigrated(connection(database))))
  )
})
