/** A server, a daemon and a client, each a process of its own, and the commands that look back. */
import { assert, describe, it } from "@effect/vitest"
import { join } from "node:path"
import { beforeAll } from "vitest"
import { agent, jsonLines, lines, makimaHere, patience, start, temporary, until } from "../support/cli.ts"
import { useDatabase } from "../support/makimaDatabase.ts"
import { git, repositoryIn } from "../support/repository.ts"
import { clientOf, createDirective, newKey, portOf, serve, type Server, succeed } from "../support/servers.ts"

const database = useDatabase()
const folder = temporary()
const unknown = "00000000-0000-4000-8000-000000000000"

let server: Server
let alice: Record<string, string>
let bob: Record<string, string>

const startServer = () => serve({ cwd: folder, env: database() })

beforeAll(async () => {
  repositoryIn(folder)
  server = await startServer()
  const [first, second] = await Promise.all([newKey(database(), "alice"), newKey(database(), "bob")])
  alice = clientOf(server, first)
  bob = clientOf(server, second)
})

const create = (...args: ReadonlyArray<string>) => createDirective(alice, ...args)

describe("makima serve", { timeout: patience }, () => {
  it("has a directive done by a daemon, whose agent calls makima without flags", async () => {
    const scripts = agent({
      plan: `makima directive batch-add-steps --json '[{"name": "First"}, {"name": "Second", "orderIndex": 1}]'`,
      First: "makima directive show >/dev/null && makima why >/dev/null && echo done > first",
      complete: "makima directive update --pr-url https://example.invalid/1"
    })
    const daemon = start(["daemon", "--agent", scripts, "--max-tasks", "2", "--data-dir", join(folder, "daemon")], {
      cwd: folder,
      env: alice
    })
    const id = await create("--repository-url", join(folder, "repository"))
    const follow = start(["log", id, "--follow", "--json"], { cwd: folder, env: database() })
    await daemon.says(/Connected to/)
    await until(() => succeed(alice, "daemons"), (shown) => /^\S+ +connected +0\/2 /.test(shown))

    assert.match(await succeed(alice, "directive", "start", id), new RegExp(`^${id} active\\n$`))
    await follow.says(/"type":"DirectiveUpdated"[^]*"type":"TaskCompleted"/, "stdout")
    const shown = JSON.parse(await succeed(alice, "directive", "show", id, "--json"))
    assert.deepStrictEqual([shown.status, shown.prUrl], ["idle", "https://example.invalid/1"])
    assert.deepStrictEqual(shown.steps.map(({ name, status }: Record<string, string>) => [name, status]), [
      ["First", "completed"],
      ["Second", "completed"]
    ])
    assert.match(await succeed(alice, "directive", "show", id), /^Title {2}idle\n/)
    const pushed = lines(git(join(folder, "origin.git"), "for-each-ref", "--format=%(refname:short)", "refs/heads"))
    assert.lengthOf(pushed.filter((branch) => branch.startsWith("makima/title-")), 2)

    daemon.kill("SIGTERM")
    follow.kill("SIGINT")
    assert.deepStrictEqual([(await daemon.ended).status, (await follow.ended).status], [130, 130])

    // Whoever looks back sees the same, in the server's absence as well: these commands read the log.
    const followed = jsonLines((await follow.ended).stdout)
    const logged = jsonLines(await succeed(database(), "log", id, "--json"))
    assert.deepStrictEqual(followed, logged.slice(0, followed.length))
    assert.lengthOf(lines(await succeed(database(), "log", id, "--type", "StepAdded")), 2)

    const [, added] = logged.filter(({ type }) => type === "StepAdded")
    const at = String(added.position)
    const then = JSON.parse(await succeed(database(), "replay", id, "--at", at, "--json"))
    assert.deepStrictEqual([then.directive.status, then.directive.prUrl, then.steps.length], ["active", null, 2])
    assert.match(await succeed(database(), "replay", id), /^Title {2}idle {2}at position \d+/)
    const since = await succeed(database(), "replay", id, "--since", at, "--json")
    assert.include(since, "https://example.invalid/1")
    for (const flag of ["--at", "--since"]) {
      const { status, stderr, stdout } = await makimaHere(["replay", id, flag, "99999"], database())
      assert.deepStrictEqual([status, stdout], [1, ""])
      assert.match(stderr, /^makima: the log ends at position \d+, before 99999\n$/)
    }
  })

  it("says why a step is where it is, with the server and without", async () => {
    const id = await create("--start")
    const step = JSON.parse(await succeed(alice, "directive", "add-step", "Wait", "--directive", id, "--json")).steps[0]
    const [fromServer, fromLog] = await Promise.all([
      succeed(alice, "why", id),
      succeed({ ...database(), MAKIMA_DIRECTIVE_ID: id }, "why", "--json")
    ])
    assert.match(fromServer, /being planned[^]*Wait: /)
    assert.isNotEmpty(JSON.parse(fromLog).directive)
    assert.match(await succeed(alice, "directive", "skip", step.id, "--directive", id), new RegExp(id))
    for (const [command, status] of [["pause", "paused"], ["resume", ""], ["archive", "archived"]] as const) {
      assert.match(await succeed(alice, "directive", command, id), new RegExp(`^${id} ${status}`))
    }
  })

  it("has directives of one owner only, also after a restart", async () => {
    const id = await create()
    const other = await makimaHere(["directive", "show", id], bob)
    assert.deepStrictEqual([other.status, other.stderr], [1, `makima: There is no directive ${id}\n`])
    assert.strictEqual(await succeed(bob, "directive", "list"), "No directives\n")
    assert.strictEqual(await succeed(bob, "daemons"), "No daemons\n")

    const before = performance.now()
    server.kill("SIGTERM")
    const { stderr } = await server.ended
    assert.isBelow(performance.now() - before, 10_000, stderr)
    server = await startServer()
    alice = { ...alice, MAKIMA_API_URL: server.url }
    bob = { ...bob, MAKIMA_API_URL: server.url }
    const page = JSON.parse(await succeed(alice, "directive", "list", "--json", "--limit", "1"))
    assert.deepStrictEqual(page.items.map((item: { id: string }) => item.id), [id])
    assert.match(await succeed(alice, "directive", "list", "--status", "draft"), new RegExp(`^${id} {2}draft`))
  })

  it.each<[what: string, args: ReadonlyArray<string>, env: () => Record<string, string>, says: RegExp]>([
    ["no server", ["directive", "list"], () => ({ ...alice, MAKIMA_API_URL: "http://127.0.0.1:1" }), /is makima serve/],
    [
      "a wrong key",
      ["directive", "list"],
      () => ({ ...alice, MAKIMA_API_KEY: "wrong" }),
      /the API key was not accepted/
    ],
    ["a daemon's wrong key", ["daemon", "--agent", "true"], () => ({ ...alice, MAKIMA_API_KEY: "wrong" }), /refuses/],
    ["an unknown directive", ["directive", "show", unknown], () => alice, /There is no directive 0{8}/],
    ["an unknown directive to explain", ["why", unknown], () => database(), /there is no directive 0{8}/],
    ["an unknown directive to replay", ["replay", unknown], () => database(), /there is no directive 0{8}/],
    ["an unknown directive's log", ["log", unknown], () => database(), /there is no directive 0{8}/],
    ["a goal that is empty", ["directive", "create", "T", "--goal", " "], () => alice, /goal: is empty/],
    ["a port that is taken", ["serve", "--port", "PORT"], () => database(), /EADDRINUSE/],
    [
      "a database that is not there",
      ["log", "--database-url", "postgres://me:secret@127.0.0.1:1/x"],
      () => ({}),
      /PostgreSQL at 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\): is it running, and is the URL (?!.*secret)/
    ],
    [
      "a data directory that cannot be made",
      ["serve", "--data-dir", "/proc/x"],
      () => ({}),
      /\/proc\/x.* cannot be made/
    ],
    [
      "a daemon's directory that cannot be made",
      ["daemon", "--agent", "true", "--data-dir", "/proc/x"],
      () => alice,
      /\/proc\/x.* cannot be made/
    ],
    ["a key that is not there", ["keys", "revoke", "nothing"], () => database(), /there is no key nothing/]
  ])("answers %s with one line", async (_, args, env, says) => {
    const { status, stderr, stdout } = await makimaHere(
      args.map((word) => word.replace("PORT", portOf(server))),
      env()
    )
    const complaint = lines(stderr).filter((line) => line.startsWith("makima: "))
    assert.deepStrictEqual([complaint.length, stdout, status], [1, "", 1], stderr)
    assert.match(complaint[0]!, says)
  })

  it("makes, lists and revokes keys", async () => {
    const make = async (name: string) =>
      JSON.parse(await succeed(database(), "keys", "create", name, "--owner", "carol", "--json"))
    const [kept, revoked] = [await make("kept"), await make("revoked")]
    const list = (key: string) => makimaHere(["directive", "list"], { MAKIMA_API_URL: server.url, MAKIMA_API_KEY: key })
    assert.strictEqual((await list(kept.key)).stdout, "No directives\n")

    assert.match(await succeed(database(), "keys", "revoke", revoked.id), /is revoked/)
    const { status, stderr } = await list(revoked.key)
    assert.deepStrictEqual([status, stderr], [1, "makima: 401: the API key was not accepted\n"])
    const listed = await succeed(database(), "keys", "list")
    assert.match(listed, new RegExp(`${kept.id} .* valid +carol +kept`))
    assert.match(listed, new RegExp(`${revoked.id} .* revoked +carol +revoked`))
    assert.notInclude(listed, kept.key)
  })
})
