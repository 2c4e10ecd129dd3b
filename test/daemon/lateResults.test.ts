/** Two real local daemons on a real endpoint: one is cut off, is lost, and has done its task all the same. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import * as BranchName from "../../src/daemon/BranchName.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { makeCable } from "../support/cable.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { eventually } from "../support/eventually.ts"
import { isRunning } from "../support/processes.ts"
import { layerServer, portOf } from "./endpointSupport.ts"
import { makeRepository, sh, startLocalDaemon, temporaryDirectory, written } from "./localSupport.ts"

const stream = Directive.streamOf(directiveId)
const events = Effect.flatMap(EventLog, (log) => Stream.runCollect(Stream.map(log.read(stream), ({ event }) => event)))
const happens = (tag: string) => eventually(tag, Effect.map(events, (all) => all.some(({ _tag }) => _tag === tag)))

const agent = `
step=$(sed -n 's/.*named-\\([a-z]*\\).*/\\1/p' | head -n 1)
echo "$MACHINE" >result
echo "$MACHINE-$step" >>"$TEST_DIRECTORY/starts"
echo $$ >"$TEST_DIRECTORY/pid-$MACHINE-$step"
until [ -e "$TEST_DIRECTORY/go-$MACHINE-$step" ]; do sleep 0.02; done
`

// Long enough for a machine under load, which has other daemons and agents to run.
const heartbeatMillis = 400

describe("A late success", () => {
  it.live("counts, and the newer hand-over's agent is stopped, its worktree removed and its slot free", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const repository = yield* makeRepository(directory, "repository")
      const directives = yield* Directives
      const port = yield* portOf
      const cable = yield* makeCable(port)
      const start = (machineId: string, port: number) =>
        startLocalDaemon({
          port,
          directory,
          agent,
          heartbeatMillis,
          machineId,
          maxTasks: 1,
          workDir: join(directory, machineId),
          env: { TEST_DIRECTORY: directory, MACHINE: machineId }
        })
      const go = (...names: ReadonlyArray<string>) =>
        names.forEach((name) => writeFileSync(join(directory, `go-${name}`), ""))
      const starts = () => readFileSync(join(directory, "starts"), "utf8").trim().split("\n")

      yield* start("one", cable.port)
      const create = { title: "Greet", goal: "Say hello", repositoryUrl: repository }
      yield* directives.ask(directiveId, { _tag: "CreateDirective", ownerId, ...create })
      const steps = [{ name: "named-a" }, { name: "named-b", orderIndex: 1 }, { name: "named-c", orderIndex: 1 }]
      yield* directives.ask(directiveId, { _tag: "AddSteps", steps })
      yield* directives.ask(directiveId, { _tag: "StartDirective" })
      yield* written(join(directory, "pid-one-a"))
      yield* happens("StepStarted")
      yield* cable.pull
      yield* start("two", port)
      const pid = Number(yield* written(join(directory, "pid-two-a")))
      const taskId = (yield* events).flatMap((event) => event._tag === "StepStarted" ? [event.taskId] : [])[0]!
      assert.strictEqual(yield* sh(directory, "ls two/worktrees | wc -l | tr -d ' '"), "1")
      // The one that is cut off has done its work, pushed it, and cannot say so yet.
      go("one-a")
      const branch = BranchName.ofTask("Greet: named-a", taskId)
      yield* eventually(
        "it is pushed",
        Effect.map(sh(repository, "git branch --list 'makima/*'"), (all) => all.includes(branch))
      )
      assert.notInclude((yield* events).map(({ _tag }) => _tag), "TaskCompleted")
      yield* cable.mend
      yield* happens("TaskCompleted")
      const completed = (yield* events).find((event) => event._tag === "TaskCompleted")
      assert.deepStrictEqual(completed, { _tag: "TaskCompleted", taskId, handOver: 1 })
      yield* eventually("the newer agent is stopped", Effect.sync(() => !isRunning(pid)))
      assert.strictEqual(yield* sh(repository, `git show ${branch}:result`), "one")
      // Both have room again: each gets one of the next two, and nothing else.
      yield* eventually(
        "both work",
        Effect.sync(() => new Set(starts().slice(2).map((name) => name.split("-")[0])).size === 2)
      )
      assert.sameMembers(starts().slice(2).map((name) => name.split("-")[1]), ["b", "c"])
      yield* eventually(
        "one worktree each",
        Effect.map(sh(directory, "ls one/worktrees two/worktrees | grep -c -- '-'"), (count) => count === "2")
      )
      go(...starts())
      yield* happens("DirectiveIdled")
      const tags = (yield* events).map(({ _tag }) => _tag)
      assert.strictEqual(tags.filter((tag) => tag === "TaskCompleted").length, 3)
      assert.notInclude(tags, "StepFailed")
    }).pipe(
      Effect.scoped,
      Effect.provide(layerServer(0, { heartbeatMillis, graceMillis: 1_500 })),
      Effect.provide([ControlledLog.layer, NodeServices.layer])
    ))
})
