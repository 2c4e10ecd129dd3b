/** Two servers on one database, a daemon and its agents, each a process of its own: one server is killed, or stands still. */
import { assert, describe, it } from "@effect/vitest"
import { setTimeout as sleep } from "node:timers/promises"
import { onTestFinished } from "vitest"
import { lines, makimaHere, patience, until } from "../support/cli.ts"
import { portOf, type Server } from "../support/servers.ts"
import { useCluster } from "./cluster.ts"

/** How much longer than it takes the other to do all the work a server stands still: `FROZEN_SECONDS=60` by hand. */
const frozenMillis = Number(process.env["FROZEN_SECONDS"] ?? 0) * 1_000

const { allEnds, database, go, logOf, newOwner, pair, started, startServer } = useCluster()

describe("Two servers on one database", { timeout: patience }, () => {
  it("end a run as if nothing had happened when the one that has it is killed, and then restarted", async () => {
    const { a, b } = await pair()
    const { ask, checkUndisturbed, key, post, startDaemon, startDirective } = await newOwner()
    const stranger = await newOwner()
    const id = await startDirective(a, "first", "second", "third")
    // It does not know that the other server has its owner.
    startDaemon(b)
    await started(id, "first")

    // What is asked of the one is done by the other, and answered the same.
    assert.strictEqual((await post(b, `/directives/${id}/pause`)).body.status, "paused")
    assert.strictEqual((await post(b, `/directives/${id}/resume`)).body.status, "active")
    const once = { method: "POST", headers: { "idempotency-key": "once" }, body: { title: "Other", goal: "Goal" } }
    const [first, repeat] = [await ask(b, "/directives", once), await ask(a, "/directives", once)]
    assert.deepStrictEqual(first.body, repeat.body)
    assert.strictEqual(first.headers.get("content-type"), repeat.headers.get("content-type"))
    assert.strictEqual((await post(b, "/directives", { title: 1 })).status, 422)
    assert.strictEqual((await stranger.post(b, `/directives/${id}/pause`)).status, 404)
    assert.strictEqual((await stranger.ask(b, `/directives/${id}`)).status, 404)
    const [task] = (await ask(b, `/directives/${id}`)).body.tasks
    await until(() => ask(b, `/tasks/${task.id}/output`), ({ text }) => text === "hello from first\n")
    assert.strictEqual((await stranger.ask(b, `/tasks/${task.id}/output`)).status, 404)
    // A request is passed on once.
    const looped = await ask(b, `/directives/${id}/pause`, { method: "POST", headers: { "makima-forwarded": "1" } })
    assert.deepStrictEqual([looped.status, looped.headers.get("retry-after")], [503, "1"])

    // Both follow, each at a server that has to do with it.
    const follow = (server: Server, path: string) =>
      fetch(`${server.url}/api/v1${path}`, {
        headers: { authorization: `Bearer ${key}`, accept: "text/event-stream" }
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
    const restarted = await startServer("a")
    // The other one has it, and keeps it.
    assert.strictEqual((await post(restarted, `/directives/${id}/pause`)).body.status, "paused")
    assert.strictEqual((await post(restarted, `/directives/${id}/resume`)).body.status, "active")
    go(id, "third")
    await allEnds(id, 3)
    await checkUndisturbed(id, "first", "second", "third")
  })

  it("refuse a second one of a name in one line, and let it in at once when the first is killed", async () => {
    const { a: first, b } = await pair()
    const { checkUndisturbed, post, startDaemon, startDirective } = await newOwner()
    startDaemon(first)
    const id = await startDirective(first, "first")
    await started(id, "first")

    const { status, stderr } = await makimaHere(["serve", "--port", "0", "--node", "a"], database())
    const complaints = lines(stderr).filter((line) => line.startsWith("makima: "))
    assert.deepStrictEqual(complaints, [
      "makima: a server that is called a runs on this database: give this one another name with --node"
    ])
    assert.strictEqual(status, 1)

    // There is nobody else to take over.
    b.kill("SIGTERM")
    await b.ended
    first.kill("SIGKILL")
    await first.ended
    const second = await startServer("a", portOf(first))
    // It has what the first one had, and waits for no lease to end.
    assert.strictEqual((await post(second, `/directives/${id}/pause`)).body.status, "paused")
    assert.strictEqual((await post(second, `/directives/${id}/resume`)).body.status, "active")
    go(id, "first")
    await allEnds(id, 1)
    await checkUndisturbed(id, "first")
  })

  it("leave the one that stood still nothing to send or write when it wakes up", async () => {
    const { a: holder, b: other } = await pair()
    const { ask, checkUndisturbed, post, startDaemon, startDirective } = await newOwner()
    const id = await startDirective(holder, "first", "second")
    startDaemon(holder, other)
    await started(id, "first")

    holder.kill("SIGSTOP")
    onTestFinished(() => holder.kill("SIGCONT"))
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
  })

  it("pass on a daemon's connection with its frames and the way it ends", async () => {
    const { a, b } = await pair()
    const { key } = await newOwner()
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
    for (const [here, there] of [[a, b], [b, a]] as const) {
      const first = await connect(here, key)
      await first.says("authenticated")
      first.socket.send("no JSON")
      assert.strictEqual((await first.says("error"))!.code, "not_a_frame")
      const second = await connect(there, key)
      await second.says("authenticated")
      assert.strictEqual(await first.closed, 1008)
      second.socket.close(1000)
      assert.strictEqual(await second.closed, 1000)
    }
    const stranger = await connect(a, "wrong")
    assert.strictEqual((await stranger.says("error"))!.code, "unauthorized")
    assert.strictEqual(await stranger.closed, 1008)
  })
})
