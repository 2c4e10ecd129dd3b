/** What runs have reached: types of events, changes of status, faults and operations; and what they never did. */
import type { StoredEvent } from "../events/EventLog.ts"
import type { TaskId } from "../events/Ids.ts"
import * as Vocabulary from "../events/Vocabulary.ts"
import { operations, type Profile } from "./Profile.ts"
import type { Outcome } from "./Simulation.ts"

/** Only `makima log remove` records it, which is not simulated. */
const beyond: ReadonlySet<StoredEvent["_tag"]> = new Set(["DirectiveRemoved"])
/** What only a bug leads to. */
const unwanted: ReadonlySet<StoredEvent["_tag"]> = new Set(["ActorParked", "ActorResumed", "ActorTakenOver"])

/** The changes of status that the specification has. */
const transitions = {
  directive: [
    "draft → active",
    "draft → archived",
    "active → idle",
    "active → stalled",
    "active → paused",
    "active → archived",
    "idle → active",
    "idle → paused",
    "idle → archived",
    "stalled → active",
    "stalled → paused",
    "stalled → archived",
    "paused → active",
    "paused → archived"
  ],
  step: [
    "pending → ready",
    "pending → skipped",
    "ready → running",
    "ready → failed",
    "ready → skipped",
    "running → completed",
    "running → failed",
    "failed → pending",
    "failed → skipped"
  ],
  task: [
    "pending → starting",
    "pending → completed",
    "pending → failed",
    "pending → interrupted",
    "starting → pending",
    "starting → running",
    "starting → completed",
    "starting → failed",
    "starting → interrupted",
    "running → pending",
    "running → completed",
    "running → failed",
    "running → interrupted"
  ]
} as const

export type Kind = "event" | keyof typeof transitions | "fault" | "operation"

export class Coverage {
  readonly reached = new Map<string, number>()
  readonly #expected: ReadonlyArray<string>

  constructor(profile: Profile) {
    const events = Object.keys(Vocabulary.cases) as ReadonlyArray<StoredEvent["_tag"]>
    this.#expected = [
      ...events.filter((type) => !beyond.has(type) && !unwanted.has(type)).map((type) => `event ${type}`),
      ...Object.entries(transitions).flatMap(([of, all]) => all.map((one) => `${of} ${one}`)),
      ...Object.entries(profile.faults).filter(([, rate]) => rate > 0).map(([kind]) => `fault ${kind}`),
      ...operations.filter((kind) => (profile.operations[kind] ?? 0) > 0).map((kind) => `operation ${kind}`)
    ]
  }

  /** What a profile can lead to and no run has. */
  get missed(): ReadonlyArray<string> {
    return this.#expected.filter((one) => !this.reached.has(one))
  }

  get expected(): number {
    return this.#expected.length
  }

  add({ events, happened }: Pick<Outcome, "events" | "happened">): void {
    for (const { kind } of happened) {
      this.#reach(isOperation(kind) ? `operation ${kind}` : `fault ${kind}`)
    }
    const status = new Map<string, string>()
    const move = (of: keyof typeof transitions, id: string, to: string) => {
      const from = status.get(id)
      if (from !== undefined && from !== to) this.#reach(`${of} ${from} → ${to}`)
      status.set(id, to)
    }
    for (const { event, stream } of events) {
      this.#reach(`event ${event._tag}`)
      const moved = movedBy(event)
      if (moved !== undefined) move(moved.of, moved.id ?? stream, moved.to)
    }
  }

  /** What another has, of the same profile. */
  join(reached: ReadonlyMap<string, number>): void {
    for (const [what, times] of reached) this.#reach(what, times)
  }

  #reach(what: string, times = 1): void {
    this.reached.set(what, (this.reached.get(what) ?? 0) + times)
  }
}

const isOperation = (kind: string): boolean =>
  kind === "create" || kind === "own" || (operations as ReadonlyArray<string>).includes(kind)

interface Moved {
  readonly of: keyof typeof transitions
  /** Of a step or a task; a directive is its stream. */
  readonly id?: string
  readonly to: string
}

const movedBy = (event: StoredEvent): Moved | undefined => {
  const directive = (to: string): Moved => ({ of: "directive", to })
  const step = (id: string, to: string): Moved => ({ of: "step", id, to })
  const task = (id: TaskId, to: string): Moved => ({ of: "task", id, to })
  switch (event._tag) {
    case "DirectiveCreated":
      return directive("draft")
    case "DirectiveStarted":
    case "DirectiveResumed":
    case "DirectiveReactivated":
      return directive("active")
    case "DirectivePaused":
      return directive("paused")
    case "DirectiveIdled":
      return directive("idle")
    case "DirectiveStalled":
      return directive("stalled")
    case "DirectiveArchived":
      return directive("archived")
    case "StepAdded":
    case "StepRetried":
      return step(event.stepId, "pending")
    case "StepReadied":
      return step(event.stepId, "ready")
    case "StepStarted":
      return step(event.stepId, "running")
    case "StepCompleted":
      return step(event.stepId, "completed")
    case "StepFailed":
      return step(event.stepId, "failed")
    case "StepSkipped":
      return step(event.stepId, "skipped")
    case "TaskCreated":
    case "HandOverFailed":
      return task(event.taskId, "pending")
    case "TaskHandedOver":
      return task(event.taskId, "starting")
    case "TaskStarted":
      return task(event.taskId, "running")
    case "TaskCompleted":
      return task(event.taskId, "completed")
    case "TaskFailed":
      return task(event.taskId, "failed")
    case "TaskInterrupted":
      return task(event.taskId, "interrupted")
    default:
      return undefined
  }
}
