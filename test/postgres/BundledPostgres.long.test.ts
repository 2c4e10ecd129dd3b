import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { layerBundled } from "../../src/postgres/Database.ts"
import {
  assertStopped,
  end,
  isAlive,
  joinFromElsewhere,
  postmaster,
  query,
  temporaryDirectory,
  use,
  usePreparedDirectories
} from "./users.ts"

const preparedDirectory = usePreparedDirectories()

describe("BundledPostgres", () => {
  it.live("starts on a socket only, as UTF-8 without a locale, and waits for the disk", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { host } = yield* Effect.scoped(Effect.gen(function*() {
        const settings = yield* use(directory)
        const show = (name: string) => query(settings, `SELECT current_setting('${name}') AS value`)
        assert.strictEqual(yield* show("listen_addresses"), "")
        assert.strictEqual(yield* show("fsync"), "on")
        assert.strictEqual(yield* show("synchronous_commit"), "on")
        assert.strictEqual(yield* show("server_encoding"), "UTF8")
        assert.strictEqual(
          yield* query(settings, "SELECT datcollate AS value FROM pg_database WHERE datname = 'postgres'"),
          "C"
        )
        return settings
      }))
      assertStopped(directory, host)
    }).pipe(Effect.scoped))

  it.live("is joined by those who come later, and stopped by the last who leaves", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const scopes = [yield* Scope.make(), yield* Scope.make(), yield* Scope.make()] as const
      const first = yield* Scope.provide(use(directory), scopes[0])
      const pid = postmaster(directory)
      for (const scope of scopes.slice(1)) assert.deepStrictEqual(yield* Scope.provide(use(directory), scope), first)
      yield* Scope.close(scopes[0], Exit.void)
      yield* Scope.close(scopes[2], Exit.void)
      assert.strictEqual(postmaster(directory), pid)
      assert.strictEqual(yield* query(first, "SELECT 1 AS value"), 1)
      yield* Scope.close(scopes[1], Exit.void)
      assertStopped(directory, first.host)
    }).pipe(Effect.scoped))

  it.live("is started once by several at once on an empty directory, and stopped when all leave at once", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const scopes = yield* Effect.forEach([0, 1, 2, 3], () => Scope.make())
      const joined = yield* Effect.forEach(scopes, (scope) => Scope.provide(use(directory), scope), {
        concurrency: "unbounded"
      })
      for (const settings of joined) assert.strictEqual(yield* query(settings, "SELECT 1 AS value"), 1)
      // Whoever lost the race to make the data has thrown its own away.
      assert.deepStrictEqual(readdirSync(directory), ["postgres"])
      yield* Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { concurrency: "unbounded" })
      assertStopped(directory, joined[0]!.host)
    }).pipe(Effect.scoped))

  it.live("keeps what was written", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      yield* Effect.scoped(Effect.flatMap(use(directory), (settings) => query(settings, "CREATE TABLE kept ()")))
      const found = yield* Effect.scoped(
        Effect.flatMap(use(directory), (settings) => query(settings, "SELECT to_regclass('kept')::text AS value"))
      )
      assert.strictEqual(found, "kept")
    }).pipe(Effect.scoped))

  it.live("comes back for its users after it was killed", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const scope = yield* Scope.make()
      const settings = yield* Scope.provide(use(directory), scope)
      const killed = postmaster(directory)
      process.kill(killed, "SIGKILL")
      yield* query(settings, "SELECT 1 AS value").pipe(Effect.eventually)
      const pid = postmaster(directory)
      assert.notStrictEqual(pid, killed)
      // Also for whoever comes now.
      yield* Effect.scoped(use(directory))
      yield* Scope.close(scope, Exit.void)
      assertStopped(directory, settings.host)
    }).pipe(Effect.scoped))

  it.live("is started again where a killed one left its files", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const { child } = yield* joinFromElsewhere(directory)
      const killed = postmaster(directory)
      child.kill("SIGKILL")
      process.kill(killed, "SIGKILL")
      yield* Effect.scoped(Effect.gen(function*() {
        const settings = yield* use(directory)
        assert.strictEqual(yield* query(settings, "SELECT 1 AS value"), 1)
        assert.notStrictEqual(postmaster(directory), killed)
      }))
    }).pipe(Effect.scoped))

  it.live("is shared by processes that start at once", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const children = yield* Effect.forEach([0, 1, 2], () => joinFromElsewhere(directory), {
        concurrency: "unbounded"
      })
      const pid = postmaster(directory)
      yield* end(children[0]!.child, "leave")
      assert.isTrue(isAlive(pid))
      yield* Effect.forEach(children.slice(1), ({ child }) => end(child, "leave"), { concurrency: "unbounded" })
      assert.isFalse(existsSync(join(directory, "postgres", "postmaster.pid")))
    }).pipe(Effect.scoped))

  it.live("leaves nothing behind when it is interrupted at any moment of its start", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      // The first ones are interrupted while the data is made, and what is there by then spares the others that.
      for (const millis of [0, 50, 300, 2000, 0, 5, 10, 15, 20, 25, 30, 40, 60, 100]) {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(use(directory), Effect.never)))
        yield* Effect.timeoutOption(Fiber.await(fiber), millis)
        yield* Fiber.interrupt(fiber)
        assert.isFalse(existsSync(join(directory, "postgres", "postmaster.pid")))
        assert.deepStrictEqual(readdirSync(directory).filter((name) => name !== "postgres"), [])
      }
      const { host } = yield* Effect.scoped(use(directory))
      assert.isFalse(existsSync(host))
    }).pipe(Effect.scoped))

  it.live("is not kept from its data by a directory that only its owner can enter", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      chmodSync(directory, 0o700)
      for (const value of [1, 2]) {
        assert.strictEqual(
          yield* Effect.scoped(Effect.flatMap(use(directory), (pg) => query(pg, `SELECT ${value} AS value`))),
          value
        )
      }
      // As root the data is where the server's account can go, and this is a link to it.
      rmSync(realpathSync(join(directory, "postgres")), { recursive: true })
    }).pipe(Effect.scoped))

  it.live("has a short socket for a long directory", () =>
    Effect.gen(function*() {
      const parent = yield* temporaryDirectory
      const directory = join(parent, "deep ".repeat(20), "deeper ".repeat(20))
      const { host } = yield* Effect.scoped(use(directory))
      assert.isBelow(host.length, 90)
      assert.strictEqual(readFileSync(join(directory, "postgres", "PG_VERSION"), "utf8").trim(), "18")
    }).pipe(Effect.scoped))

  it.live("gives a migrated database", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const rows = yield* Effect.provide(
        Effect.flatMap(PgClient, (sql) => sql`SELECT * FROM events`),
        layerBundled(directory)
      )
      assert.deepStrictEqual(rows, [])
    }).pipe(Effect.scoped))

  it.live("says what is wrong with a directory that it cannot use", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      mkdirSync(join(directory, "postgres"))
      writeFileSync(join(directory, "postgres", "notes.txt"), "mine")
      const occupied = yield* Effect.flip(Effect.scoped(use(directory)))
      assert.strictEqual(
        occupied.message,
        `The bundled PostgreSQL in ${directory}/postgres is no PostgreSQL data directory, and not empty. ` +
          "Choose another data directory, or move away what is in this one. " +
          "Or set MAKIMA_DATABASE_URL to a PostgreSQL of your own."
      )
      writeFileSync(join(directory, "postgres", "PG_VERSION"), "17\n")
      const old = yield* Effect.flip(Effect.scoped(use(directory)))
      assert.include(old.message, "was made by PostgreSQL 17, and this is 18")
    }).pipe(Effect.scoped))

  it.live("says what the server said when it does not start", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      yield* Effect.scoped(use(directory))
      writeFileSync(join(directory, "postgres", "postgresql.conf"), "no_such_setting = 1\n")
      const error = yield* Effect.flip(Effect.scoped(use(directory)))
      assert.include(error.message, "does not start")
      assert.include(error.message, "no_such_setting")
      assert.include(error.message, "server.log")
    }).pipe(Effect.scoped))
})
