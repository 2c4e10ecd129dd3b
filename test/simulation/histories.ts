/** Histories made by hand, put to one checker alone: what the runtime would never do, as far as we know. */
import { Exit } from "effect"
import type { DirectiveAnswer } from "../../src/actors/DirectiveCommand.ts"
import * as Chain from "../../src/events/Chain.ts"
import type { RecordedEvent, StoredEvent } from "../../src/events/EventLog.ts"
import { daemonIdOf, directiveIdOf, OwnerId, StepId, TaskId, uuidV5 } from "../../src/events/Ids.ts"
import { Ledger } from "../../src/simulation/internal/ledger.ts"
import {
  type Assigned,
  type Checker,
  type Invariant,
  type ObservedDaemon,
  type Request,
  Violation
} from "../../src/simulation/Invariant.ts"
import { type Profile, profiles } from "../../src/simulation/Profile.ts"

export const ownerId = OwnerId.make("owner-0")
export const stranger = OwnerId.make("owner-1")
export const directiveId = directiveIdOf(ownerId, "the one")
export const stream = `directive-${directiveId}`
export const daemonId = daemonIdOf(ownerId, "machine")
export const stepId = (name: string) => StepId.make(uuidV5(`step ${name}`))
export const taskId = (name: string) => TaskId.make(uuidV5(`task ${name}`))

export const created: StoredEvent = {
  _tag: "DirectiveCreated",
  directiveId,
  ownerId,
  title: "Title",
  goal: "Goal",
  baseBranch: "main",
  memoryEnabled: false
}
export const started: StoredEvent = { _tag: "DirectiveStarted" }
export const connected: StoredEvent = {
  _tag: "DaemonConnected",
  daemonId,
  machineId: "machine",
  hostname: "host",
  maxConcurrentTasks: 1
}
export const step = (
  name: string,
  orderIndex = 0,
  dependsOn: ReadonlyArray<string> = [],
  plannedBy?: string
): StoredEvent => ({
  _tag: "StepAdded",
  stepId: stepId(name),
  name,
  dependsOn: dependsOn.map(stepId),
  orderIndex,
  generation: 1,
  ...(plannedBy === undefined ? {} : { plannedBy: taskId(plannedBy) })
})
export const ready = (name: string): StoredEvent => ({ _tag: "StepReadied", stepId: stepId(name) })
export const task = (name: string, kind: "planning" | "step" | "completion" = "step"): StoredEvent => ({
  _tag: "TaskCreated",
  taskId: taskId(name),
  kind,
  name,
  description: "",
  plan: "",
  ...(kind === "step" ? { stepId: stepId(name) } : {}),
  ...(kind === "planning" ? { revision: 1, generation: 1 } : {})
})
export const handedOver = (name: string, handOver = 1): StoredEvent => ({
  _tag: "TaskHandedOver",
  taskId: taskId(name),
  handOver,
  daemonId
})
export const completed = (name: string, handOver = 1): StoredEvent => ({
  _tag: "TaskCompleted",
  taskId: taskId(name),
  handOver
})
export const stepCompleted = (name: string): StoredEvent => ({
  _tag: "StepCompleted",
  stepId: stepId(name),
  taskId: taskId(name)
})
export const answer: DirectiveAnswer = { directiveId, status: "active", goalRevision: 1 }
export const answered = (commandId: string, goalRevision = 1): StoredEvent => ({
  _tag: "CommandAnswered",
  commandId,
  command: "StartDirective",
  answer: { ...answer, goalRevision }
})
export const request = (commandId: string, from: OwnerId = ownerId): Request => ({
  directiveId,
  ownerId: from,
  command: { _tag: "StartDirective" },
  commandId
})
export const daemon: ObservedDaemon = {
  name: "the daemon",
  daemonId,
  ownerId,
  maxConcurrentTasks: 1,
  running: new Map(),
  isConnected: true,
  connectedSince: 0
}

/** What a checker says of a history: each append is a list of events. */
export const history = (
  invariant: Invariant,
  options: {
    readonly daemons?: ReadonlyArray<ObservedDaemon>
    readonly assigned?: ReadonlyArray<Assigned>
    readonly profile?: Profile
    readonly node?: string
    readonly home?: string
    readonly claimant?: string
  } = {}
) => {
  const ledger = new Ledger()
  const events: Array<RecordedEvent> = []
  const seen: Array<RecordedEvent> = []
  const heads = new Map<string, { version: number; hash: string }>()
  let now = 0
  let isSettled = true
  const checker: Checker = invariant.make({
    profile: options.profile ?? profiles.calm,
    ledger,
    daemons: () => options.daemons ?? [daemon],
    homeOf: () => options.home ?? "node-1",
    claimantOf: () => options.claimant ?? "node-1",
    isUp: () => true,
    assigned: () => options.assigned ?? [],
    events,
    seen: () => seen,
    now: () => now,
    clock: () => now,
    calmSince: () => 0,
    isSettled: () => isSettled,
    violated: (expected, found) => {
      throw new Violation(invariant, expected, found, now)
    }
  })
  const record = (event: StoredEvent, change: Partial<RecordedEvent>): RecordedEvent => {
    const of = event._tag.startsWith("Daemon")
      ? `daemons-${ownerId}`
      : event._tag.startsWith("Actor")
      ? "supervisor"
      : stream
    const head = heads.get(of) ?? { version: 0, hash: Chain.start }
    const about = { stream: of, schemaVersion: 1, at: now, event, ...change }
    const hash = Chain.next(head.hash, Chain.contentOf(about))
    heads.set(of, { version: head.version + 1, hash })
    return { position: events.length + 1, version: head.version + 1, hash, ...about }
  }
  const self = {
    checker,
    ledger,
    /** One append. `change` is laid over what would be recorded. */
    append: (appended: ReadonlyArray<StoredEvent>, change: Partial<RecordedEvent> = {}) => {
      const recorded = appended.map((event) => {
        const one = record(event, change)
        events.push(one)
        seen.push(one)
        return one
      })
      for (const one of recorded) {
        ledger.take(one)
        checker.event?.(one)
      }
      checker.committed?.(recorded, options.node ?? "node-1")
      return self
    },
    /** The subscriber misses the latest event. */
    miss: () => {
      seen.pop()
      return self
    },
    wait: (millis: number) => {
      for (const end = now + millis; now < end;) {
        now += 5_000
        checker.tick?.()
      }
      return self
    },
    unsettle: () => {
      isSettled = false
      return self
    },
    respond: (to: Request, given: DirectiveAnswer = answer, position = events.length) => {
      checker.request?.(to)
      checker.response?.(to, Exit.succeed({ answer: given, position }))
      return self
    }
  }
  return self
}
