/** Servers on one database, a daemon whose agents wait for what the test says, and owners with keys: each test has its own. */
import { assert } from "@effect/vitest"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { agent, jsonLines, lines, start, type Started, temporary, until } from "../support/cli.ts"
import { makeDatabase } from "../support/makimaDatabase.ts"
import { repositoryIn } from "../support/repository.ts"
import { newKey, serve, type Server, succeed } from "../support/servers.ts"

/** Short, for a test, and long for a process that has not stood still. */
const leaseSeconds = "3"

export interface Asking {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

export type Cluster = Awaited<ReturnType<typeof makeCluster>>

export const makeCluster = async () => {
  const folder = temporary()
  const repository = repositoryIn(folder)
  const database = await makeDatabase()
  const keys: Record<string, string> = { alice: await newKey(database, "alice"), bob: await newKey(database, "bob") }

  const processes: Array<Started> = []
  onTestFinished(async () => {
    for (const process of processes) process.kill("SIGKILL")
    await Promise.all(processes.map(({ ended }) => ended))
  })

  const startServer = async (node: string, port = "0"): Promise<Server> => {
    const flags = ["--node", node, "--lease-seconds", leaseSeconds, "--heartbeat-seconds", "1"]
    const server = await serve({ port, flags, cwd: folder, env: database })
    processes.push(server)
    return server
  }

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
  const logOf = async (...args: ReadonlyArray<string>) => jsonLines(await succeed(database, "log", ...args, "--json"))

  return {
    database,
    keys,
    startServer,
    ask,
    post,
    logOf,

    /** A directive with one step after the other, which is started. */
    startDirective: async (server: Server, ...names: ReadonlyArray<string>): Promise<string> => {
      const { body } = await post(server, "/directives", { title: "Title", goal: "Goal", repositoryUrl: repository })
      const id = body.directiveId
      const steps = names.map((name, orderIndex) => ({ name, orderIndex, taskPlan: `Step: ${name}` }))
      await post(server, `/directives/${id}/steps`, { steps })
      assert.strictEqual((await post(server, `/directives/${id}/start`)).status, 200)
      return id
    },

    /** A daemon of Alice that knows these servers. */
    startDaemon: (...servers: ReadonlyArray<Server>) => {
      const args = ["daemon", "--agent", scripts, "--data-dir", join(folder, "daemon"), "--heartbeat-seconds", "1"]
      const urls = servers.map(({ url }) => url).join(",")
      const env = { TEST_FOLDER: folder, MAKIMA_API_URL: urls, MAKIMA_API_KEY: keys["alice"] }
      processes.push(start(args, { cwd: folder, env }))
    },

    /** Waits until the agent of a step has been started. */
    started: (id: string, name: string) => until(() => starts(id), (names) => names.includes(name)),

    /** Lets the agents of steps end. */
    go: (id: string, ...names: ReadonlyArray<string>) => {
      for (const name of names) writeFileSync(join(folder, `go-${id}-${name}`), "")
    },

    /** Waits for the ends of so many steps, and then of the pull request. */
    allEnds: (id: string, steps: number) =>
      until(() => logOf(id), (log) => log.filter(({ type }) => type === "TaskCompleted").length === steps + 1),

    /** As if nothing had happened: each agent started once, no hand-over failed, no actor was fought over. */
    checkUndisturbed: async (id: string, ...names: ReadonlyArray<string>) => {
      assert.deepStrictEqual(starts(id), [...names])
      const handOvers = (await logOf(id)).flatMap(({ event }) =>
        event._tag === "TaskHandedOver" ? [event.handOver] : []
      )
      assert.deepStrictEqual(new Set(handOvers), new Set([1]))
      const everything = (await logOf()).map(({ type }) => type)
      assert.notInclude(everything, "HandOverFailed")
      assert.notInclude(everything, "DaemonLost")
      assert.notInclude(everything, "ActorTakenOver")
      assert.notInclude(everything, "ActorFailed")
    }
  }
}
