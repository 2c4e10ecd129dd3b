/** Servers on one database, and owners, of which each test makes its own, with daemons whose agents wait for the test. */
import { assert } from "@effect/vitest"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, onTestFinished } from "vitest"
import { agent, jsonLines, lines, start, temporary, until } from "../support/cli.ts"
import { useDatabase } from "../support/makimaDatabase.ts"
import { repositoryIn } from "../support/repository.ts"
import { newKey, serve, type Server, succeed } from "../support/servers.ts"

/** Short, for a test, and long for a process that has not stood still. */
const leaseSeconds = "3"

export interface Asking {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

/** Steps that write down that they were started, and end when the test says so. */
const scripts = agent(Object.fromEntries(["first", "second", "third"].map((name) => [
  name,
  `echo ${name} $MAKIMA_DIRECTIVE_ID >>"$TEST_FOLDER/starts"; echo hello from ${name}
   until [ -e "$TEST_FOLDER/go-$MAKIMA_DIRECTIVE_ID-${name}" ]; do sleep 0.05; done`
])))

/** For all tests of a file. */
export const useCluster = () => {
  const database = useDatabase()
  const folder = temporary()
  beforeAll(() => {
    repositoryIn(folder)
  })
  const running = new Map<string, Server>()
  let owners = 0

  const startServer = async (node: string, port = "0"): Promise<Server> => {
    const flags = ["--node", node, "--lease-seconds", leaseSeconds, "--heartbeat-seconds", "1"]
    const server = await serve({ port, flags, cwd: folder, env: database() })
    running.set(node, server)
    void server.ended.then(() => running.delete(node))
    return server
  }

  const starts = (id: string) =>
    existsSync(join(folder, "starts"))
      ? lines(readFileSync(join(folder, "starts"), "utf8")).flatMap((line) =>
        line.endsWith(id) ? [line.split(" ")[0]] : []
      )
      : []

  const logOf = async (...args: ReadonlyArray<string>) => jsonLines(await succeed(database(), "log", ...args, "--json"))

  /** An owner whom no server has yet: the first one that is asked will. */
  const newOwner = async () => {
    const name = `owner-${++owners}`
    const key = await newKey(database(), name)

    const ask = async (server: Server, path: string, { body, headers, method = "GET" }: Asking = {}) => {
      const response = await fetch(`${server.url}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
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
    const post = (server: Server, path: string, body?: unknown) => ask(server, path, { method: "POST", body })

    return {
      key,
      ask,
      post,

      /** A directive with one step after the other, which is started. */
      startDirective: async (server: Server, ...names: ReadonlyArray<string>): Promise<string> => {
        const repositoryUrl = join(folder, "repository")
        const { body } = await post(server, "/directives", { title: "Title", goal: "Goal", repositoryUrl })
        const id = body.directiveId
        const steps = names.map((name, orderIndex) => ({ name, orderIndex, taskPlan: `Step: ${name}` }))
        await post(server, `/directives/${id}/steps`, { steps })
        assert.strictEqual((await post(server, `/directives/${id}/start`)).status, 200)
        return id
      },

      /** A daemon that knows these servers. */
      startDaemon: (...servers: ReadonlyArray<Server>) => {
        const args = ["daemon", "--agent", scripts, "--data-dir", join(folder, name), "--heartbeat-seconds", "1"]
        const urls = servers.map(({ url }) => url).join(",")
        const env = { TEST_FOLDER: folder, MAKIMA_API_URL: urls, MAKIMA_API_KEY: key }
        const daemon = start(args, { cwd: folder, env })
        onTestFinished(async () => {
          daemon.kill("SIGINT")
          await daemon.ended
        })
      },

      /** As if nothing had happened: each agent started once, no hand-over failed, no actor was fought over. */
      checkUndisturbed: async (id: string, ...names: ReadonlyArray<string>) => {
        assert.deepStrictEqual(starts(id), [...names])
        const handOvers = (await logOf(id)).flatMap(({ event }) =>
          event._tag === "TaskHandedOver" ? [event.handOver] : []
        )
        assert.deepStrictEqual(new Set(handOvers), new Set([1]))
        const log = await logOf()
        // The daemons of other tests may be lost by now, as they are gone.
        assert.notInclude(
          log.filter(({ stream }) => stream === `daemons-${name}`).map(({ type }) => type),
          "DaemonLost"
        )
        for (const tag of ["HandOverFailed", "ActorTakenOver", "ActorFailed"]) {
          assert.notInclude(log.map(({ type }) => type), tag)
        }
      }
    }
  }

  return {
    database,
    startServer,
    newOwner,
    logOf,

    /** Two servers, of which those are started that do not run already. */
    pair: async () => {
      const [a, b] = await Promise.all([running.get("a") ?? startServer("a"), running.get("b") ?? startServer("b")])
      return { a, b }
    },

    /** Waits until the agent of a step has been started. */
    started: (id: string, name: string) => until(() => starts(id), (names) => names.includes(name)),

    /** Lets the agents of steps end. */
    go: (id: string, ...names: ReadonlyArray<string>) => {
      for (const name of names) writeFileSync(join(folder, `go-${id}-${name}`), "")
    },

    /** Waits for the ends of so many steps, and then of the pull request. */
    allEnds: (id: string, steps: number) =>
      until(() => logOf(id), (log) => log.filter(({ type }) => type === "TaskCompleted").length === steps + 1)
  }
}
