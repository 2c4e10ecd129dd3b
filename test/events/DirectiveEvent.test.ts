/** Stored for ever: what was ever written must decode, and come back the same. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"

const codec = Schema.toCodecJson(DirectiveEvent)
const decode = Schema.decodeUnknownSync(codec)
const encode = Schema.encodeSync(codec)

const a = "7b3c1f02-1111-5a6e-9c2d-0123456789ab"
const b = "0f9d2c44-2222-5b7f-8d3e-abcdef012345"

/** Add lines, never edit one: these are in somebody's database. */
const stored: ReadonlyArray<{ readonly _tag: string; readonly [field: string]: Schema.Json }> = [
  {
    _tag: "DirectiveCreated",
    directiveId: a,
    ownerId: "ada",
    title: "Export",
    goal: "CSV",
    repositoryUrl: "/srv/shop",
    baseBranch: "main",
    memoryEnabled: true
  },
  {
    _tag: "DirectiveCreated",
    directiveId: a,
    ownerId: "ada",
    title: "Export",
    goal: "CSV",
    baseBranch: "main",
    memoryEnabled: false
  },
  { _tag: "DirectiveStarted" },
  { _tag: "DirectiveUpdated" },
  {
    _tag: "DirectiveUpdated",
    title: "Export it",
    repositoryUrl: "",
    baseBranch: "next",
    memoryEnabled: true,
    prUrl: "https://example.test/pr/1"
  },
  { _tag: "GoalChanged", goal: "CSV and JSON", revision: 2 },
  { _tag: "DirectivePaused", reason: "paused by command" },
  { _tag: "DirectiveResumed" },
  { _tag: "DirectiveReactivated" },
  { _tag: "DirectiveIdled" },
  { _tag: "DirectiveStalled", failed: [a], blocked: 3 },
  { _tag: "DirectiveArchived" },
  { _tag: "StepAdded", stepId: a, name: "Write", dependsOn: [], orderIndex: 0, generation: 1 },
  {
    _tag: "StepAdded",
    stepId: a,
    name: "Write",
    description: "The writer.",
    taskPlan: "Write it.",
    dependsOn: [b],
    orderIndex: 2,
    generation: 3,
    plannedBy: b
  },
  { _tag: "PlanAccepted", taskId: a, revision: 1, steps: 4 },
  { _tag: "StepReadied", stepId: a },
  { _tag: "StepStarted", stepId: a, taskId: b },
  { _tag: "StepCompleted", stepId: a, taskId: b },
  { _tag: "StepFailed", stepId: a, taskId: b, reason: "exit status 1" },
  { _tag: "StepSkipped", stepId: a },
  { _tag: "StepRetried", stepId: a },
  {
    _tag: "TaskCreated",
    taskId: a,
    kind: "planning",
    name: "Plan: Export",
    description: "Directive planning task",
    plan: "# Plan",
    baseBranch: "main",
    revision: 1,
    generation: 1
  },
  {
    _tag: "TaskCreated",
    taskId: a,
    kind: "step",
    name: "Export: Write",
    description: "Directive step execution task",
    plan: "# Step",
    repositoryUrl: "/srv/shop",
    baseBranch: "main",
    stepId: b,
    completionAction: "branch",
    continueFromTaskId: b
  },
  {
    _tag: "TaskCreated",
    taskId: a,
    kind: "completion",
    name: "PR: Export",
    description: "Directive PR completion task",
    plan: "# Pull request",
    repositoryUrl: "/srv/shop",
    baseBranch: "main",
    contents: [a, b],
    prBranch: "makima/directive-export-7b3c1f02",
    attempt: 1
  },
  { _tag: "TaskHandedOver", taskId: a, handOver: 1, daemonId: b },
  {
    _tag: "HandOverFailed",
    taskId: a,
    handOver: 1,
    daemonId: b,
    reason: "the connection ended",
    excludedUntil: 1767225630000
  },
  { _tag: "TaskStarted", taskId: a, handOver: 2 },
  { _tag: "InterruptRequested", taskId: a },
  { _tag: "TaskCompleted", taskId: a, handOver: 2 },
  { _tag: "TaskFailed", taskId: a, handOver: 2, reason: "exit status 1" },
  { _tag: "TaskFailed", taskId: a, reason: "handed over 3 times in vain" },
  { _tag: "TaskInterrupted", taskId: a, handOver: 1, reason: "interrupted" },
  { _tag: "TaskInterrupted", taskId: a, reason: "the directive was archived" },
  {
    _tag: "ReportIgnored",
    taskId: a,
    handOver: 1,
    daemonId: b,
    report: "failed",
    because: "the task is completed"
  },
  { _tag: "CompletionDelayed", attempt: 1, until: 1767225610000, reason: "conflict" },
  { _tag: "AttentionNeeded", reason: "the pull request failed 3 times" },
  { _tag: "MemorySet", key: "tests", value: "npm test", category: "commands" },
  { _tag: "MemorySet", key: "tests", value: "npm test" },
  { _tag: "MemoryRemoved", key: "tests" },
  {
    _tag: "CommandAnswered",
    commandId: "key-1",
    answer: { directiveId: a, status: "active", goalRevision: 1, steps: [{ id: b, name: "Write", key: "w" }] }
  },
  {
    _tag: "DirectiveRemoved",
    directiveId: a,
    ownerId: "ada",
    version: 41,
    hash: "0123456789abcdef".repeat(4),
    exported: "fedcba9876543210".repeat(4)
  }
]

describe("DirectiveEvent", () => {
  it("decodes every shape that was ever stored, and writes it the same", () => {
    for (const json of stored) assert.deepStrictEqual<unknown>(encode(decode(json)), json)
  })

  it("has a stored shape of each of its kinds", () => {
    assert.deepStrictEqual(new Set(stored.map(({ _tag }) => _tag)), new Set(Object.keys(DirectiveEvent.cases)))
  })
})
