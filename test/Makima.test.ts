import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type HostTask, type Makima, type Options, start } from "../src/Makima.ts"
import { layerUnmigrated } from "../src/postgres/Database.ts"
import { until } from "./support/cli.ts"
import { useDatabase } from "./support/makimaDatabase.ts"

const database = useDatabase()

/** Plans two steps, does every step, and opens the pull request: what an agent would do. */
const worker = (makima: Makima) => async (task: HostTask) => {
  const directiveId = task.directiveId!
  if (task.taskName.startsWith("Plan: ")) {
    await makima.addSteps(directiveId, [{ key: "a", name: "a" }, { name: "b", dependsOn: ["a"] }])
  }
  if (task.taskName.startsWith("PR: ")) {
    await makima.command(directiveId, { _tag: "UpdateDirective", prUrl: "https://example.invalid/1" })
  }
  if (task.taskName.endsWith("boom")) throw new Error("no way")
  task.output(`did ${task.taskName}\n`)
}

const directive = { title: "Greet", goal: "Say hello", repositoryUrl: "/repository", start: true }

const withHost = async (options: Options, use: (makima: Makima) => Promise<void>) => {
  const makima = await start(options)
  try {
    await use(makima)
  } finally {
    await makima.stop()
  }
}

describe("Makima", () => {
  it("runs a directive with a daemon that is a function of the host", () =>
    withHost({ store: "memory" }, async (makima) => {
      await makima.daemon(worker(makima))
      const { directiveId } = await makima.createDirective(directive)
      const view = await makima.settled(directiveId)
      assert.deepInclude(view.directive, { status: "idle", prUrl: "https://example.invalid/1" })
      assert.deepStrictEqual(view.steps.map(({ name, status }) => [name, status]), [["a", "completed"], [
        "b",
        "completed"
      ]])
    }))

  it("says why a step failed, and goes on when it is skipped", () =>
    withHost({ store: "memory" }, async (makima) => {
      await makima.daemon(worker(makima))
      const { directiveId } = await makima.createDirective({ ...directive, start: false })
      const { steps } = await makima.addSteps(directiveId, [
        { key: "x", name: "boom" },
        { name: "after", dependsOn: ["x"] }
      ])
      await makima.command(directiveId, { _tag: "StartDirective" })
      const stalled = await makima.settled(directiveId)
      assert.strictEqual(stalled.directive.status, "stalled")
      assert.strictEqual(stalled.steps[0]!.failure, "no way")
      await makima.command(directiveId, { _tag: "SkipStep", stepId: steps![0]!.id })
      assert.strictEqual((await makima.settled(directiveId)).directive.status, "idle")
    }))

  it("gives the first answer to a repeated command", () =>
    withHost({ store: "memory" }, async (makima) => {
      const first = await makima.createDirective({ ...directive, start: false }, "once")
      const again = await makima.createDirective({ ...directive, start: false }, "once")
      assert.strictEqual(again.directiveId, first.directiveId)
      const added = await makima.addSteps(first.directiveId, [{ name: "a" }], "add")
      const repeated = await makima.addSteps(first.directiveId, [{ name: "a" }], "add")
      assert.deepStrictEqual(repeated.steps, added.steps)
    }))

  it("shows all that happens as it happens", () =>
    withHost({ store: "memory" }, async (makima) => {
      const { directiveId } = await makima.createDirective(directive)
      const seen: Array<string> = []
      await makima.daemon(worker(makima))
      for await (const { event } of makima.events(directiveId)) {
        seen.push(event._tag)
        if (event._tag === "DirectiveIdled") break
      }
      assert.deepStrictEqual(seen.slice(0, 4), [
        "DirectiveCreated",
        "DirectiveStarted",
        "TaskCreated",
        "TaskHandedOver"
      ])
    }))

  it("goes on where it was when the host comes back with the same data directory", async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), "makima-host-"))
    try {
      let directiveId = ""
      await withHost({ store: { dataDirectory } }, async (makima) => {
        ;({ directiveId } = await makima.createDirective(directive))
      })
      await withHost({ store: { dataDirectory } }, async (makima) => {
        await makima.daemon(worker(makima))
        assert.strictEqual((await makima.settled(directiveId)).directive.status, "idle")
      })
      assert.include(await readdir(dataDirectory), "postgres")
    } finally {
      await rm(dataDirectory, { recursive: true, force: true })
    }
  })

  it("starts anew, with its daemons, when another process has taken over from it", () => {
    const databaseUrl = database().MAKIMA_DATABASE_URL!
    return withHost({ store: { databaseUrl } }, async (makima) => {
      await makima.daemon(worker(makima))
      const { directiveId } = await makima.createDirective({ ...directive, start: false })
      const seen = makima.events(directiveId)[Symbol.asyncIterator]()
      assert.strictEqual((await seen.next()).value.event._tag, "DirectiveCreated")
      const settled = makima.settled(directiveId)
      // What another process does that takes over, and ends itself at once.
      await Effect.runPromise(
        PgClient.use((sql) =>
          sql.withTransaction(Effect.andThen(
            sql`SELECT claim_streams(ARRAY['node-host'], ARRAY['other'], ARRAY[true])`,
            Effect.andThen(sql`DELETE FROM leases`, sql`DELETE FROM nodes`)
          ))
        ).pipe(Effect.provide(layerUnmigrated({ url: Redacted.make(databaseUrl) })))
      )
      await until(
        () => makima.command(directiveId, { _tag: "StartDirective" }, "start").then(() => true, () => false),
        (isDone) => isDone
      )
      assert.strictEqual((await makima.settled(directiveId)).directive.status, "idle")
      await settled
      assert.strictEqual((await seen.next()).value.event._tag, "DirectiveStarted")
      await seen.return!()
    })
  })
})
