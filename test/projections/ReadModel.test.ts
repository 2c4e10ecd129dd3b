import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog, type StoredEvent } from "../../src/events/EventLog.ts"
import { DaemonId, DirectiveId, OwnerId, StepId, TaskId, uuidV5 } from "../../src/events/Ids.ts"
import { Projections } from "../../src/projections/Projections.ts"
import { ReadModel } from "../../src/projections/ReadModel.ts"
import { daemonA, now } from "../support/directive.ts"
import { layerDatabase } from "../support/postgres.ts"

const served = Layer.mergeAll(ReadModel.layer, Projections.layer).pipe(
  Layer.provideMerge(Layer.merge(layerDatabase, EventLog.layerMemory))
)

const idOf = (name: string) => DirectiveId.make(uuidV5(name))

const record = Effect.fnUntraced(function*(stream: string, ...events: ReadonlyArray<StoredEvent>) {
  const log = yield* EventLog
  const { awaitPosition } = yield* Projections
  const recorded = yield* log.append([{ stream, expected: "any", events }], { at: now })
  yield* awaitPosition(recorded.at(-1)!.position)
})

const recordOf = (name: string, ...events: ReadonlyArray<DirectiveEvent>) =>
  record(Directive.streamOf(idOf(name)), ...events)

const created = (name: string, owner: string): DirectiveEvent => ({
  _tag: "DirectiveCreated",
  directiveId: idOf(name),
  ownerId: OwnerId.make(owner),
  title: name,
  goal: `Goal of ${name}`,
  baseBranch: "main",
  memoryEnabled: false
})

const stepId = StepId.make(uuidV5("step"))
const taskId = TaskId.make(uuidV5("task"))

const withTask = (name: string, owner: string, task = taskId): ReadonlyArray<DirectiveEvent> => [
  created(name, owner),
  { _tag: "DirectiveStarted" },
  {
    _tag: "TaskCreated",
    taskId: task,
    kind: "planning",
    name: `Plan: ${name}`,
    description: "Directive planning task",
    plan: "Please plan.",
    baseBranch: "main"
  }
]

describe("ReadModel", () => {
  layer(served, { excludeTestServices: true })("lists", (it) => {
    it.effect("an owner's directives, newest first, page by page", () =>
      Effect.gen(function*() {
        const { listDirectives } = yield* ReadModel
        const names = Array.from({ length: 7 }, (_, index) => `page ${index}`)
        for (const name of names) yield* recordOf(name, created(name, "pager"))
        yield* recordOf("not mine", created("not mine", "somebody"))
        const seen: Array<string> = []
        let cursor: string | undefined
        do {
          const page = yield* listDirectives({ ownerId: "pager", limit: 3, cursor })
          seen.push(...page.items.map(({ title }) => title))
          cursor = page.nextCursor
          // What comes meanwhile belongs before the first page.
          yield* recordOf(`late ${seen.length}`, created(`late ${seen.length}`, "pager"))
        } while (cursor !== undefined)
        assert.deepStrictEqual(seen, names.toReversed())
        const all = yield* listDirectives({ ownerId: "pager", limit: 10 })
        assert.deepStrictEqual(all.items.slice(0, 3).map(({ title }) => title), ["late 7", "late 6", "late 3"])
        assert.isUndefined(all.nextCursor)
        const exact = yield* listDirectives({ ownerId: "pager", limit: 10, cursor })
        assert.isUndefined(exact.nextCursor, "a page that is just full is the last one")
      }))

    it.effect("those in one status", () =>
      Effect.gen(function*() {
        const { listDirectives } = yield* ReadModel
        for (const name of ["s1", "s2", "s3"]) yield* recordOf(name, created(name, "status"))
        yield* recordOf("s2", { _tag: "DirectiveStarted" })
        yield* recordOf("s3", { _tag: "DirectiveStarted" }, { _tag: "DirectivePaused", reason: "tea" })
        const titles = (status: "draft" | "active" | "paused") =>
          Effect.map(listDirectives({ ownerId: "status", limit: 5, status }), ({ items }) =>
            items.map(({ reason, title }) => [title, reason]))
        assert.deepStrictEqual(yield* titles("draft"), [["s1", null]])
        assert.deepStrictEqual(yield* titles("active"), [["s2", null]])
        assert.deepStrictEqual(yield* titles("paused"), [["s3", "tea"]])
      }))

    it.effect("nothing for a cursor that no list has given", () =>
      Effect.gen(function*() {
        const { listDirectives } = yield* ReadModel
        for (const cursor of ["", "7", "YmVmb3JlIC0x", "'; DROP TABLE directives; --"]) {
          const error = yield* Effect.flip(listDirectives({ ownerId: "pager", limit: 3, cursor }))
          assert.strictEqual(error.message, `${JSON.stringify(cursor)} is not a cursor that a list has given`)
        }
      }))
  })

  layer(served, { excludeTestServices: true })("shows", (it) => {
    it.effect("nothing of another owner", () =>
      Effect.gen(function*() {
        const { daemons, directive, listDirectives, memories, task } = yield* ReadModel
        yield* recordOf("mine", ...withTask("mine", "ada"), { _tag: "MemorySet", key: "a", value: "b" })
        yield* record("daemons-ada", {
          _tag: "DaemonConnected",
          daemonId: daemonA,
          machineId: "m",
          hostname: "h",
          maxConcurrentTasks: 1
        })
        const looks = (owner: string) =>
          Effect.all([
            Effect.map(listDirectives({ ownerId: owner, limit: 5 }), ({ items }) => items.length),
            Effect.map(directive(owner, idOf("mine")), (found) => Number(Option.isSome(found))),
            Effect.map(task(owner, taskId), (found) => Number(Option.isSome(found))),
            Effect.map(memories(owner, idOf("mine")), (found) => Number(Option.isSome(found))),
            Effect.map(daemons(owner), (found) => found.length)
          ])
        assert.deepStrictEqual(yield* looks("ada"), [1, 1, 1, 1, 1])
        for (const other of ["bob", "Ada", "ad", "ada ", "%", ""]) {
          assert.deepStrictEqual(yield* looks(other), [0, 0, 0, 0, 0])
        }
        assert.isTrue(Option.isNone(yield* directive("ada", "no id at all")))
      }))

    it.effect("a directive with its steps and tasks, and the prompt with the task alone", () =>
      Effect.gen(function*() {
        const { directive, directiveOfTask, task } = yield* ReadModel
        const own = TaskId.make(uuidV5("own task"))
        yield* recordOf("whole", ...withTask("whole", "eve", own), {
          _tag: "StepAdded",
          stepId,
          name: "Describe",
          dependsOn: [],
          orderIndex: 0,
          generation: 1,
          plannedBy: own
        })
        const found = Option.getOrThrow(yield* directive("eve", idOf("whole")))
        assert.deepStrictEqual(found, {
          id: idOf("whole"),
          ownerId: OwnerId.make("eve"),
          title: "whole",
          goal: "Goal of whole",
          goalRevision: 1,
          status: "active",
          reason: null,
          repositoryUrl: null,
          baseBranch: "main",
          memoryEnabled: false,
          prUrl: null,
          prBranch: null,
          generation: 1,
          completionDueAt: null,
          createdAt: now,
          updatedAt: now,
          steps: [{
            id: stepId,
            sequence: 0,
            directiveId: idOf("whole"),
            name: "Describe",
            description: null,
            taskPlan: null,
            dependsOn: [],
            orderIndex: 0,
            generation: 1,
            status: "pending",
            taskId: null,
            failure: null
          }],
          tasks: [{
            id: own,
            directiveId: idOf("whole"),
            stepId: null,
            kind: "planning",
            name: "Plan: whole",
            description: "Directive planning task",
            repositoryUrl: null,
            baseBranch: "main",
            completionAction: null,
            continueFromTaskId: null,
            status: "pending",
            daemonId: null,
            handOver: 0,
            reason: null,
            createdAt: now,
            endedAt: null
          }]
        })
        const detail = Option.getOrThrow(yield* task("eve", own))
        assert.deepStrictEqual(detail, { ...found.tasks[0]!, plan: "Please plan." })
        assert.deepStrictEqual(Option.getOrThrow(yield* directiveOfTask(own)), {
          directiveId: idOf("whole"),
          ownerId: OwnerId.make("eve")
        })
        assert.isTrue(Option.isNone(yield* directiveOfTask("unknown")))
      }))

    it.effect("memories by key, without those that were removed", () =>
      Effect.gen(function*() {
        const { memories } = yield* ReadModel
        yield* recordOf(
          "memories",
          created("memories", "mia"),
          { _tag: "MemorySet", key: "b", value: "old", category: "style" },
          { _tag: "MemorySet", key: "a", value: "1" },
          { _tag: "MemorySet", key: "c", value: "gone" },
          { _tag: "MemorySet", key: "b", value: "new" },
          { _tag: "MemoryRemoved", key: "c" }
        )
        yield* recordOf("forgetful", created("forgetful", "mia"))
        assert.deepStrictEqual(Option.getOrThrow(yield* memories("mia", idOf("memories"))), [
          { key: "a", value: "1", category: null },
          { key: "b", value: "new", category: null }
        ])
        assert.deepStrictEqual(Option.getOrThrow(yield* memories("mia", idOf("forgetful"))), [])
      }))

    it.effect("daemons with how many tasks are with them", () =>
      Effect.gen(function*() {
        const { daemons } = yield* ReadModel
        const [one, two] = ["one", "two"].map((name) => DaemonId.make(uuidV5(name)))
        const mine = TaskId.make(uuidV5("task on one"))
        const connected = (daemonId: DaemonId, hostname: string): StoredEvent => ({
          _tag: "DaemonConnected",
          daemonId,
          machineId: hostname,
          hostname,
          maxConcurrentTasks: 2
        })
        yield* record(
          "daemons-dee",
          connected(one!, "one"),
          connected(two!, "two"),
          { _tag: "DaemonSuspected", daemonId: two!, reason: "closed", lostAt: now + 5 }
        )
        const rows = Effect.map(daemons("dee"), (all) =>
          all.map((row) => [row.hostname, row.status, row.activeTasks, row.lostAt]))
        yield* recordOf("busy", ...withTask("busy", "dee", mine), {
          _tag: "TaskHandedOver",
          taskId: mine,
          handOver: 1,
          daemonId: one!
        })
        assert.deepStrictEqual(yield* rows, [["one", "connected", 1, null], ["two", "suspect", 0, now + 5]])
        yield* recordOf("busy", { _tag: "TaskCompleted", taskId: mine, handOver: 1 })
        assert.deepStrictEqual(yield* rows, [["one", "connected", 0, null], ["two", "suspect", 0, now + 5]])
      }))
  })

  layer(served, { excludeTestServices: true })("finds", (it) => {
    it.effect("the directives that a server has to bring up", () =>
      Effect.gen(function*() {
        const { activeDirectives } = yield* ReadModel
        const open = TaskId.make(uuidV5("open"))
        yield* recordOf("draft", created("draft", "ada"))
        yield* recordOf("active", created("active", "ada"), { _tag: "DirectiveStarted" })
        yield* recordOf("idle", created("idle", "bob"), { _tag: "DirectiveStarted" }, { _tag: "DirectiveIdled" })
        yield* recordOf("gone", created("gone", "bob"), { _tag: "DirectiveArchived" })
        yield* recordOf("paused", created("paused", "bob"), { _tag: "DirectiveStarted" }, {
          _tag: "DirectivePaused",
          reason: "lunch"
        })
        yield* recordOf(
          "due",
          created("due", "bob"),
          { _tag: "DirectiveStarted" },
          { _tag: "DirectiveIdled" },
          { _tag: "CompletionDelayed", attempt: 1, until: 1, reason: "no network" }
        )
        yield* recordOf("going", ...withTask("going", "bob", open), { _tag: "DirectiveArchived" })
        yield* recordOf("run", created("run", "run-7"), { _tag: "DirectiveStarted" })
        const names = (found: ReadonlyArray<{ readonly directiveId: string }>) =>
          found.map(({ directiveId }) => directiveId)
        const wanted = ["active", "due", "going"].map(idOf)
        assert.deepStrictEqual(names(yield* activeDirectives({ exceptOwnerPrefix: "run-" })), wanted)
        assert.deepStrictEqual(names(yield* activeDirectives()), [...wanted, idOf("run")])
        yield* recordOf("going", { _tag: "TaskInterrupted", taskId: open, reason: "archived" })
        assert.deepStrictEqual(names(yield* activeDirectives({ exceptOwnerPrefix: "run-" })), wanted.slice(0, 2))
      }))
  })
})
