/** Two servers on one database, a daemon and its agents, each a process of its own: one server is killed, or stands still. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeAll } from "vitest"
import {
  agent,
  jsonLines,
  lines,
  makimaHere,
  patience,
  repositoryIn,
  start,
  type Started,
  temporary,
  until,
  useDatabase
} from "../support/cli.ts"

const database = useDatabase()
const folder = temporary()

/** Short, for a test, and long for a process that has not stood still. */
const leaseSeconds = "3"

/** How much longer than it takes the other to do all the work a server stands still: `FROZEN_SECONDS=60` by hand. */
const frozenMillis = Number(process.env["FROZEN_SECONDS"] ?? 0) * 1_000

interface Server extends Started {
  readonly url: string
}

const serve = async (node: string, port = "0"): Promise<Server> => {
  const flags = ["--port", port, "--node", node, "--lease-seconds", leaseSeconds, "--heartbeat-seconds", "1", "--json"]
  const server = start(["serve", ...flags], { cwd: folder, env: database() })
  const [, url] = await server.says(/"url":"([^"]+)"/, "stdout")
  return { ...server, url: url! }
}

const succeed = async (env: Record<string, string>, ...args: ReadonlyArray<string>): Promise<string> => {
  const { status, stderr, stdout } = await makimaHere(args, { ...database(), ...env })
  assert.strictEqual(status, 0, `makima ${args.join(" ")}: ${stderr}`)
  return stdout
}

interface Asking {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

let keys: Record<string, string> = {}

const ask = async (server: Server, path: string, { body, headers, method = "GET" }: Asking = {}, owner = "alice") => {
  const response = await fetch(`${server.url}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${keys[owner]}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: text.startsWith("{") ? JSON.parse(text) : {}
  }
}

const post = (server: Server, path: string, body: unknown = undefined, owner = "alice") =>
  ask(server, path, { method: "POST", body }, owner)

/** Steps that write down that they were started, and end when the test says so. */
const scripts = agent(Object.fromEntries(["first", "second", "third"].map((name) => [
  name,
  `echo ${name} $MAKIMA_DIRECTIVE_ID >>"$TEST_FOLDER/starts"; echo hello from ${name}
   until [ -e "$TEST_FOLDER/go-$MAKIMA_DIRECTIVE_ID-${name}" ]; do sleep 0.05; done`
])))

const starts = (id: string) =>
  existsSync(join(folder, "starts"))
    ? lines(readFileSync(join(folder, "starts"), "utf8")).flatMap((line) =>
      line.endsWith(id) ? [line.split(" ")[0]] : []
    )
    : []
const started = (id: string, name: string) => until(() => starts(id), (names) => names.includes(name))
const go = (id: string, ...names: ReadonlyArray<string>) => {
  for (const name of names) writeFileSync(join(folder, `go-${id}-${name}`), "")
}

const create = async (server: Server, ...names: ReadonlyArray<string>): Promise<string> => {
  const { body } = await post(server, "/directives", {
    title: "Title",
    goal: "Goal",
    repositoryUrl: join(folder, "repository")
  })
  const id = body.directiveId
  const steps = names.map((name, orderIndex) => ({ name, orderIndex, taskPlan: `Step: ${name}` }))
  await post(server, `/directives/${id}/steps`, { steps })
  assert.strictEqual((await post(server, `/directives/${id}/start`)).status, 200)
  return id
}

const startDaemon = (name: string, ...servers: ReadonlyArray<Server>) =>
  start(
    ["daemon", "--agent", scripts, "--data-dir", join(folder, name), "--heartbeat-seconds", "1"],
    {
      cwd: folder,
      env: {
        ...database(),
        TEST_FOLDER: folder,
        MAKIMA_API_URL: servers.map(({ url }) => url).join(","),
        MAKIMA_API_KEY: keys.alice!
      }
    }
  )

const logOf = async (...args: ReadonlyArray<string>) => jsonLines(await succeed({}, "log", ...args, "--json"))
const tagsOf = async (id: string) => (await logOf(id)).map(({ type }) => type as string)
/** So many steps, and then the pull request. */
const allEnds = (id: string, steps: number) =>
  until(() => tagsOf(id), (tags) => tags.filter((tag) => tag === "TaskCompleted").length === steps + 1)

/** As if nothing had happened: each agent started once, no hand-over failed, no actor was fought over. */
const checkUndisturbed = async (id: string, ...names: Array<string>) => {
  assert.deepStrictEqual(starts(id), names)
  const handOvers = (await logOf(id)).flatMap(({ event }) => event._tag === "TaskHandedOver" ? [event.handOver] : [])
  assert.deepStrictEqual(new Set(handOvers), new Set([1]))
  const everything = (await logOf()).map(({ type }) => type)
  assert.notInclude(everything, "HandOverFailed")
  assert.notInclude(everything, "DaemonLost")
  assert.notInclude(everything, "ActorTakenOver")
  assert.notInclude(everything, "ActorFailed")
}

let a: Server
let b: Server

beforeAll(async () => {
  repositoryIn(folder)
  const made = async (owner: string) => (await succeed({}, "keys", "create", "test", "--owner", owner)).trim()
  keys = { alice: await made("alice"), bob: await made("bob") }
  ;[a, b] = await Promise.all([serve("a"), serve("b")])
}, patience)

describe("Two servers on one database", { timeout: patience }, () => {
  it("end a run as if nothing had happened when the one that has it is killed, and then restarted", async () => {
    const id = await create(a, "first", "second", "third")
    // It does not know that the other server has its owner.
    const daemon = startDaemon("daemon", b)
    await started(id, "first")

    // What is asked of the one is done by the other, and answered the same.
    assert.strictEqual((await post(b, `/directives/${id}/pause`)).body.status, "paused")
    assert.strictEqual((await post(b, `/directives/${id}/resume`)).body.status, "active")
    const once = { method: "POST", headers: { "idempotency-key": "once" }, body: { title: "Other", goal: "Goal" } }
    const [first, repeat] = [await ask(b, "/directives", once), await ask(a, "/directives", once)]
    assert.deepStrictEqual(first.body, repeat.body)
    assert.strictEqual(first.headers.get("content-type"), repeat.headers.get("content-type"))
    assert.strictEqual((await post(b, "/directives", { title: 1 })).status, 422)
    assert.strictEqual((await post(b, `/directives/${id}/pause`, undefined, "bob")).status, 404)
    assert.strictEqual((await ask(b, `/directives/${id}`, {}, "bob")).status, 404)
    const [task] = (await ask(b, `/directives/${id}`)).body.tasks
    await until(() => ask(b, `/tasks/${task.id}/output`), ({ text }) => text === "hello from first\n")
    assert.strictEqual((await ask(b, `/tasks/${task.id}/output`, {}, "bob")).status, 404)
    // A request is passed on once.
    const looped = await ask(b, `/directives/${id}/pause`, { method: "POST", headers: { "makima-forwarded": "1" } })
    assert.deepStrictEqual([looped.status, looped.headers.get("retry-after")], [503, "1"])

    // Both follow, each at a server that has to do with it.
    const follow = (server: Server, path: string) =>
      fetch(`${server.url}/api/v1${path}`, {
        headers: { authorization: `Bearer ${keys.alice}`, accept: "text/event-stream" }
      }).then((response) => response.body!.getReader())
    const output = await follow(b, `/tasks/${task.id}/output?follow=true`)
    const events = await follow(b, `/directives/${id}/events?follow=true`)
    const text = async (reader: typeof output) => new TextDecoder().decode((await reader.read()).value)
    await until(() => text(output), (chunk) => chunk.includes("hello from first"))
    await until(() => text(events), (chunk) => chunk.includes("id: "))

    a.kill("SIGKILL")
    await a.ended
    const refused = await post(b, `/directives/${id}/pause`)
    assert.deepStrictEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
    await until(() => post(b, `/directives/${id}/steps/${crypto.randomUUID()}/retry`), ({ status }) => status === 404)
    await output.cancel().catch(() => undefined)
    await events.cancel()

    go(id, "first", "second")
    await started(id, "third")
    a = await serve("a")
    // The other one has it, and keeps it.
    assert.strictEqual((await post(a, `/directives/${id}/pause`)).body.status, "paused")
    assert.strictEqual((await post(a, `/directives/${id}/resume`)).body.status, "active")
    go(id, "third")
    await allEnds(id, 3)
    await checkUndisturbed(id, "first", "second", "third")

    // Who is there alone and comes back under its name has everything at once.
    a.kill("SIGTERM")
    await a.ended
    const last = await create(b, "first")
    await started(last, "first")
    b.kill("SIGKILL")
    await b.ended
    b = await serve("b", new URL(b.url).port)
    assert.strictEqual((await post(b, `/directives/${last}/pause`)).body.status, "paused")
    assert.strictEqual((await post(b, `/directives/${last}/resume`)).body.status, "active")
    go(last, "first")
    await allEnds(last, 1)
    await checkUndisturbed(last, "first")
    a = await serve("a")
    daemon.kill("SIGINT")
    await daemon.ended
  })

  it("leave the one that stood still nothing to send or write when it wakes up", async () => {
    const id = await create(a, "first", "second")
    const [holder, other] = [b, a]
    const daemon = startDaemon("frozen", holder, other)
    await started(id, "first")

    holder.kill("SIGSTOP")
    // The report goes to the one that is frozen, and waits there until it wakes up.
    go(id, "first")
    // Whoever is asked meanwhile neither hangs nor knows better than the one who has it, until it has it itself.
    const remember = () => ask(other, `/directives/${id}/memories/k`, { method: "PUT", body: { value: "v" } })
    const refused = await remember()
    assert.deepStrictEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
    await until(remember, ({ status }) => status === 200)
    await started(id, "second")
    go(id, "second")
    await allEnds(id, 2)
    const before = await logOf()
    await sleep(frozenMillis)

    holder.kill("SIGCONT")
    await holder.says(/another server has taken over from it; it drops all that it was doing and starts anew/)
    await until(() => ask(holder, "/daemons").catch(() => ({ status: 0 })), ({ status }) => status === 200)
    assert.strictEqual((await post(holder, `/directives/${id}/archive`)).body.status, "archived")
    const after = await logOf()
    const added = after.slice(before.length).filter(({ stream }) => !stream.startsWith("daemons-"))
    assert.deepStrictEqual(added.map(({ stream, type }) => [stream, type]), [[`directive-${id}`, "DirectiveArchived"]])
    await checkUndisturbed(id, "first", "second")
    daemon.kill("SIGINT")
    await daemon.ended
  })

  it("pass on a daemon's connection with its frames and the way it ends", async () => {
    const connect = async (server: Server, apiKey: string) => {
      const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws/daemon`)
      const frames: Array<{ readonly type: string; readonly code?: string }> = []
      const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)))
      socket.addEventListener("message", ({ data }) => frames.push(JSON.parse(data)))
      await new Promise((resolve) => socket.addEventListener("open", resolve))
      socket.send(
        JSON.stringify({ type: "authenticate", apiKey, machineId: "m", hostname: "h", maxConcurrentTasks: 0 })
      )
      const says = (type: string) => until(() => frames.find((frame) => frame.type === type), (frame) => !!frame)
      return { socket, closed, says }
    }
    for (const server of [a, b]) {
      const first = await connect(server, keys.alice!)
      await first.says("authenticated")
      first.socket.send("no JSON")
      assert.strictEqual((await first.says("error"))!.code, "not_a_frame")
      const second = await connect(server === a ? b : a, keys.alice!)
      await second.says("authenticated")
      assert.strictEqual(await first.closed, 1008)
      second.socket.close(1000)
      assert.strictEqual(await second.closed, 1000)
    }
    const stranger = await connect(a, "wrong")
    assert.strictEqual((await stranger.says("error"))!.code, "unauthorized")
    assert.strictEqual(await stranger.closed, 1008)
  })

  it("refuse a second server of the same name in one line", async () => {
    const { status, stderr } = await makimaHere(["serve", "--port", "0", "--node", "a"], database())
    const complaints = lines(stderr).filter((line) => line.startsWith("makima: "))
    assert.deepStrictEqual(complaints, [
      "makima: a server that is called a runs on this database: give this one another name with --node"
    ])
    assert.strictEqual(status, 1)
  })
})
