/**
 * Goal: a server goes with its last user, however that ends, and never while it has one.
 *
 * Method: real processes, killed while they use the server, start it, make its data, or come while it is stopped.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import {
  assertStopped,
  becomes,
  end,
  firstLine,
  guardsIn,
  isAlive,
  joinFromElsewhere,
  nothingRunsIn,
  postmaster,
  query,
  runningIn,
  startElsewhere,
  startUser,
  temporaryDirectory,
  use,
  usePreparedDirectories
} from "./users.ts"

const preparedDirectory = usePreparedDirectories()

const settingsOf = (host: string) => ({ host, port: 5432, username: "makima", database: "postgres" })

// Many processes start here, on a machine that may have other things to do.
describe("The server of users who are killed", { timeout: 120_000 }, () => {
  it.live("goes with the last of them", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const { child, host } = yield* joinFromElsewhere(directory)
      yield* end(child, "die")
      yield* nothingRunsIn(directory)
      assertStopped(directory, host)
    }).pipe(Effect.scoped))

  it.live("goes when all of them are killed at once", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const users = yield* Effect.forEach([0, 1, 2], () => joinFromElsewhere(directory), { concurrency: "unbounded" })
      yield* Effect.forEach(users, ({ child }) => end(child, "die"), { concurrency: "unbounded" })
      yield* nothingRunsIn(directory)
      assertStopped(directory, users[0]!.host)
    }).pipe(Effect.scoped))

  it.live("goes on for those who are left, and for one that is frozen", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const first = yield* joinFromElsewhere(directory)
      const second = yield* joinFromElsewhere(directory)
      const pid = postmaster(directory)
      second.child.kill("SIGSTOP")
      yield* end(first.child, "die")
      yield* becomes("the guard of the killed one ends", () => guardsIn(directory), (guards) => guards.length === 1)
      assert.isTrue(isAlive(pid))
      assert.strictEqual(yield* query(settingsOf(second.host), "SELECT 1 AS value"), 1)
      second.child.kill("SIGCONT")
      yield* end(second.child, "leave")
      assertStopped(directory, second.host)
      yield* nothingRunsIn(directory)
    }).pipe(Effect.scoped))

  it.live("goes when a guard was killed before its user", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const { child, host } = yield* joinFromElsewhere(directory)
      const [killed] = guardsIn(directory)
      process.kill(killed!, "SIGKILL")
      yield* becomes(
        "another guard comes",
        () => guardsIn(directory),
        ([guard]) => ![undefined, killed].includes(guard)
      )
      yield* end(child, "die")
      yield* nothingRunsIn(directory)
      assertStopped(directory, host)
    }).pipe(Effect.scoped))

  it.live("is never taken from who comes while it is stopped", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      // The first comes while the guard gets to work, the last when the server has gone or is about to.
      for (const millis of [0, 300, 450]) {
        const { child } = yield* joinFromElsewhere(directory)
        yield* end(child, "die")
        yield* Effect.sleep(millis)
        yield* Effect.scoped(Effect.gen(function*() {
          const settings = yield* use(directory)
          const pid = postmaster(directory)
          yield* becomes("the guard of the killed one ends", () => guardsIn(directory), (guards) => guards.length === 1)
          assert.strictEqual(postmaster(directory), pid)
          assert.strictEqual(yield* query(settings, "SELECT 1 AS value"), 1)
        }))
        yield* nothingRunsIn(directory)
      }
    }).pipe(Effect.scoped))

  it.live("goes when they are killed at any moment of its start", () =>
    Effect.gen(function*() {
      const directory = yield* preparedDirectory
      const pidFile = join(directory, "postgres", "postmaster.pid")
      const moments = {
        "a guard": () => guardsIn(directory).length > 0,
        "a server": () => runningIn(directory).some((line) => line.includes("postgres -D")),
        "its word that it is ready": () => existsSync(pidFile) && /\nready\s*$/.test(readFileSync(pidFile, "utf8"))
      }
      for (const [what, isSo] of Object.entries(moments)) {
        const child = yield* startUser(directory)
        yield* becomes(`there is ${what}`, isSo, (is) => is)
        yield* end(child, "die")
        yield* nothingRunsIn(directory)
        assert.isFalse(existsSync(pidFile), what)
      }
    }).pipe(Effect.scoped))

  it.live("is not begun when they are killed while its data are made, and these are not kept", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      for (const file of ["PG_VERSION", "base/1/PG_VERSION"]) {
        const child = yield* startUser(directory)
        yield* becomes(
          `there is a part of the data, ${file}`,
          () => readdirSync(directory).filter((name) => existsSync(join(directory, name, file))),
          ([name]) => name?.startsWith("postgres.new-") === true
        )
        yield* end(child, "die")
        yield* nothingRunsIn(directory)
        assert.deepStrictEqual(readdirSync(directory), [])
      }
    }).pipe(Effect.scoped))

  it.live("goes with a test run that is killed, and so do its data", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const child = yield* startElsewhere("testRun.ts", [], { TMPDIR: directory })
      assert.strictEqual(yield* firstLine(child), "ready")
      assert.isNotEmpty(readdirSync(directory))
      yield* end(child, "die")
      yield* nothingRunsIn(directory)
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.scoped))
})
