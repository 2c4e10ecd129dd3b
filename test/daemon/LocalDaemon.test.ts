import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as BranchName from "../../src/daemon/BranchName.ts"
import { eventually } from "../support/eventually.ts"
import { isRunning } from "../support/processes.ts"
import {
  directiveId,
  failed,
  hears,
  heartbeat,
  interrupted,
  live,
  patient,
  running,
  secret,
  setUp,
  spawnTask,
  starting,
  succeeded
} from "./fakeServer.ts"
import { sh, taskId, written } from "./localSupport.ts"

describe("LocalDaemon", () => {
  live("introduces itself, then says which tasks it has", () =>
    Effect.gen(function*() {
      const { connection } = yield* setUp("true", { maxTasks: 3 })
      const server = yield* connection
      assert.deepStrictEqual(server.hello, {
        type: "authenticate",
        apiKey: secret,
        machineId: "machine",
        hostname: "host",
        maxConcurrentTasks: 3,
        acknowledgements: true
      })
      yield* hears(server, heartbeat())
    }))

  live("does a task and has pushed its branch when it reports success", () =>
    Effect.gen(function*() {
      const agent = "cat >prompt; echo \"$MAKIMA_API_URL $MAKIMA_DIRECTIVE_ID $MAKIMA_TASK_ID\"; makima --from an agent"
      const { apiUrl, connection, directory, repository, workDir } = yield* setUp(agent)
      const script = "import{writeFileSync}from'node:fs';writeFileSync('key',process.env.MAKIMA_API_KEY);" +
        "console.log(process.argv.slice(2).join('+'), process.execPath)"
      yield* sh(directory, `cat >main.mjs <<'EOF'\n${script}\nEOF`)
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1, { repoUrl: repository, plan: "do it\n" }))
      yield* hears(server, starting(1), running(1), succeeded(1))
      const lines = `${apiUrl} ${directiveId} ${taskId(1)}\n--from+an+agent ${process.execPath}\n`
      assert.strictEqual(server.output(), lines)
      const branch = BranchName.ofTask("Step 1", taskId(1))
      assert.strictEqual(yield* sh(repository, `git show ${branch}:prompt ${branch}:key`), `do it\n${secret}`)
      yield* eventually("the worktree is gone", Effect.map(sh(workDir, "ls worktrees"), (names) => names === ""))
    }))

  live("says why a task failed", () =>
    Effect.gen(function*() {
      const { connection, repository } = yield* setUp("echo because; exit 7")
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1))
      yield* hears(server, starting(1), running(1), failed(1, "agent exited with status 7\nbecause"))
      yield* server.send(spawnTask(2, { repoUrl: repository, baseBranch: "nowhere", handOver: 4 }))
      const reason = `The repository ${repository} has no branch "nowhere" to start from`
      yield* hears(server, starting(2, 4), failed(2, reason, 4))
    }))

  live("refuses what is over its capacity", () =>
    Effect.gen(function*() {
      const { connection } = yield* setUp(patient, { maxTasks: 1 })
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1))
      yield* hears(server, starting(1), running(1))
      yield* server.send(spawnTask(2))
      yield* hears(server, failed(2, "at capacity: this daemon runs at most 1 task at once"))
    }))

  live("runs a task once, however often it is handed over", () =>
    Effect.gen(function*() {
      const { connection, directory } = yield* setUp(patient)
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1))
      yield* hears(server, starting(1), running(1))
      yield* server.send(spawnTask(1))
      yield* hears(server, running(1))
      yield* server.send(spawnTask(1, { handOver: 2 }))
      yield* hears(server, running(1, 2))
      yield* sh(directory, `touch go-${taskId(1)}`)
      yield* hears(server, succeeded(1, 2))
      yield* server.send(spawnTask(1, { handOver: 2 }))
      yield* hears(server, succeeded(1, 2))
    }))

  live("interrupts a task with its agent", () =>
    Effect.gen(function*() {
      const { connection, directory } = yield* setUp(patient)
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1))
      yield* hears(server, starting(1), running(1))
      const pid = Number(yield* written(join(directory, `pid-${taskId(1)}`)))
      yield* server.send({ type: "interruptTask", taskId: taskId(1), graceful: true })
      yield* hears(server, interrupted(1))
      assert.isFalse(isRunning(pid))
    }))

  live("does not wait for a stubborn agent that is to be killed", () =>
    Effect.gen(function*() {
      const { connection, directory } = yield* setUp(`trap '' TERM; ${patient}`)
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1))
      yield* hears(server, starting(1), running(1))
      const pid = Number(yield* written(join(directory, `pid-${taskId(1)}`)))
      yield* server.send({ type: "interruptTask", taskId: taskId(1), graceful: true })
      yield* server.send({ type: "interruptTask", taskId: taskId(1), graceful: false })
      yield* Effect.timeout(hears(server, interrupted(1)), "5 seconds")
      assert.isFalse(isRunning(pid))
    }))

  live("keeps agents while the server is away, and reports when it is back", () =>
    Effect.gen(function*() {
      const { connection, directory, repository } = yield* setUp(patient)
      const first = yield* connection
      yield* hears(first, heartbeat())
      yield* first.send(spawnTask(1, { repoUrl: repository }))
      yield* first.send(spawnTask(2))
      const reports = [yield* first.next, yield* first.next, yield* first.next, yield* first.next]
      assert.sameDeepMembers(reports, [starting(1), starting(2), running(1), running(2)])
      const pid = Number(yield* written(join(directory, `pid-${taskId(2)}`)))
      yield* first.close
      yield* sh(directory, `touch go-${taskId(1)}`)
      const branch = BranchName.ofTask("Step 1", taskId(1))
      yield* eventually(
        "the branch is pushed",
        Effect.map(sh(repository, "git branch --list 'makima/*'"), (branches) => branches.includes(branch))
      )
      const second = yield* connection
      const heard = [yield* second.next]
      while (!heard.some((frame) => frame.type === "taskComplete")) heard.push(yield* second.next)
      assert.strictEqual(heard[0]?.type, "heartbeat")
      assert.deepStrictEqual(heard.filter((frame) => frame.type === "taskComplete"), [succeeded(1)])
      assert.isTrue(isRunning(pid))
      yield* sh(directory, `touch go-${taskId(2)}`)
      while (!heard.some((frame) => frame.type === "taskComplete" && frame.taskId === taskId(2))) {
        heard.push(yield* second.next)
      }
    }))

  live("ends when its key is not accepted", () =>
    Effect.gen(function*() {
      const { connections, daemon } = yield* setUp("true")
      const server = yield* Queue.take(connections)
      yield* server.send({ type: "error", code: "unauthorized", message: "The API key was not accepted" })
      const error = yield* Effect.flip(Fiber.join(daemon))
      assert.strictEqual(error._tag, "DaemonRefused")
      assert.match(error.message, /refuses this daemon \(unauthorized\): The API key was not accepted$/)
    }))

  live("leaves nothing behind when it stops", () =>
    Effect.gen(function*() {
      const { connection, daemon, directory, repository, workDir } = yield* setUp(patient)
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1, { repoUrl: repository }))
      yield* hears(server, starting(1), running(1))
      yield* server.send(spawnTask(2))
      yield* hears(server, starting(2), running(2))
      const pids = [1, 2].map((n) => written(join(directory, `pid-${taskId(n)}`)))
      const [first, second] = (yield* Effect.all(pids)).map(Number)
      yield* Fiber.interrupt(daemon)
      assert.isFalse(isRunning(first ?? 0) || isRunning(second ?? 0))
      assert.sameDeepMembers([yield* server.next, yield* server.next], [interrupted(1), interrupted(2)])
      assert.strictEqual(yield* sh(workDir, "ls worktrees"), "")
    }))

  live(
    "keeps the end of the output that it cannot send, and neither the agent nor a report waits for it",
    () =>
      Effect.gen(function*() {
        const agent =
          `${patient}; yes 'a line of output' | head -c 3000000; echo the end; echo over >"$TEST_DIRECTORY/over"`
        const { connection, directory } = yield* setUp(agent)
        const first = yield* connection
        yield* hears(first, heartbeat())
        yield* first.send(spawnTask(1))
        yield* hears(first, starting(1), running(1))
        yield* first.close
        yield* sh(directory, `touch go-${taskId(1)}`)
        yield* written(join(directory, "over"))
        const second = yield* connection
        while ((yield* second.next).type !== "taskComplete");
        assert.isAtMost(second.output().length, 1024 * 1024)
        assert.match(second.output(), /the end\n$/)
      })
  )

  live("sends all output, in order, to a server that is there", () =>
    Effect.gen(function*() {
      const { connection, directory } = yield* setUp("seq 1 200000 | tee \"$TEST_DIRECTORY/all\"")
      const server = yield* connection
      yield* hears(server, heartbeat())
      yield* server.send(spawnTask(1))
      yield* hears(server, starting(1), running(1), succeeded(1))
      assert.isTrue(server.output() === readFileSync(join(directory, "all"), "utf8"))
    }))
})
