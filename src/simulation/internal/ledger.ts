/**
 * Everything that is in the log, folded as it is committed: what the world knows of the runtime, as readers of its read
 * models do.
 */
import { HashMap } from "effect"
import * as DaemonRegistry from "../../actors/DaemonRegistry.ts"
import * as Directive from "../../actors/Directive.ts"
import { currentHandOver, type HandOver, isOpen, taskOf } from "../../actors/DirectiveState.ts"
import type { SpawnTask } from "../../daemon/Protocol.ts"
import type { DaemonEvent } from "../../events/DaemonEvent.ts"
import type { DirectiveEvent, TaskKind } from "../../events/DirectiveEvent.ts"
import type { RecordedEvent, StoredEvent } from "../../events/EventLog.ts"
import { DirectiveId, type OwnerId, type TaskId } from "../../events/Ids.ts"

const directivePrefix = "directive-"
const registryPrefix = "daemons-"

export class Ledger {
  readonly directives = new Map<DirectiveId, Directive.State>()
  readonly registries = new Map<OwnerId, DaemonRegistry.State>()
  readonly #directiveOf = new Map<TaskId, DirectiveId>()
  /** Of each directive after each of its events: what has not changed is shared. */
  readonly #history = new Map<DirectiveId, Array<Directive.State>>()
  readonly #rounds = new Map<TaskId, number>()
  readonly #plans = new Map<DirectiveId, number>()

  /** Takes an event in. */
  take({ event, stream, version }: RecordedEvent): void {
    if (stream.startsWith(registryPrefix)) {
      const ownerId = stream.slice(registryPrefix.length) as OwnerId
      const before = this.registries.get(ownerId) ?? DaemonRegistry.empty(DaemonRegistry.defaultPolicy)
      this.registries.set(ownerId, DaemonRegistry.evolve(before, event as DaemonEvent))
      return
    }
    if (!stream.startsWith(directivePrefix)) return
    const directiveId = DirectiveId.make(stream.slice(directivePrefix.length))
    const before = this.directives.get(directiveId) ?? Directive.empty(stream)
    const after = Directive.evolve(before, event as DirectiveEvent)
    this.directives.set(directiveId, after)
    const history = this.#history.get(directiveId) ?? [before]
    this.#history.set(directiveId, history)
    history[version] = after
    if (event._tag === "TaskCreated") this.#created(directiveId, event)
  }

  #created(directiveId: DirectiveId, { kind, taskId }: Extract<StoredEvent, { _tag: "TaskCreated" }>): void {
    this.#directiveOf.set(taskId, directiveId)
    if (kind !== "planning") return
    const round = this.#plans.get(directiveId) ?? 0
    this.#rounds.set(taskId, round)
    this.#plans.set(directiveId, round + 1)
  }

  /** A directive as it was after one of its events. */
  stateAt(directiveId: DirectiveId, version: number): Directive.State {
    return this.#history.get(directiveId)![version]!
  }

  directiveOf(taskId: TaskId): DirectiveId | undefined {
    return this.#directiveOf.get(taskId)
  }

  /** Whom a stream is about, if it is about an owner. */
  ownerOf(stream: string): OwnerId | undefined {
    if (stream.startsWith(registryPrefix)) return stream.slice(registryPrefix.length) as OwnerId
    if (!stream.startsWith(directivePrefix)) return undefined
    return this.directives.get(stream.slice(directivePrefix.length) as DirectiveId)?.ownerId
  }

  /** The hand-over of a task that counts, while the task is open. */
  currentOf(taskId: TaskId): HandOver | undefined {
    const directiveId = this.#directiveOf.get(taskId)
    const task = directiveId === undefined ? undefined : taskOf(this.directives.get(directiveId)!, taskId)
    return task === undefined || !isOpen(task) ? undefined : currentHandOver(task)
  }

  /** As `ReadModel.activeDirectives`: those that a process goes on with when it starts. */
  active(): ReadonlyArray<{ readonly directiveId: DirectiveId; readonly ownerId: OwnerId }> {
    return [...this.directives.values()]
      .filter(({ openTasks, status }) => (status !== "draft" && status !== "archived") || openTasks > 0)
      .map(({ id, ownerId }) => ({ directiveId: id!, ownerId }))
  }

  openTasks(): ReadonlyArray<TaskId> {
    return [...this.directives.values()].flatMap(({ tasks }) =>
      [...HashMap.values(tasks)].filter(isOpen).map(({ id }) => id)
    )
  }

  stepsOf(directiveId: DirectiveId): ReadonlyArray<Directive.Step> {
    const state = this.directives.get(directiveId)
    return state === undefined ? [] : HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence)
  }

  /** What an agent finds that gets this task. */
  assignmentOf({ directiveId, taskId }: SpawnTask): {
    readonly kind: TaskKind
    readonly steps: ReadonlyArray<Directive.Step>
    readonly round: number
  } {
    const state = directiveId === null ? undefined : this.directives.get(directiveId)
    const task = state === undefined ? undefined : taskOf(state, taskId)
    return {
      kind: task?.kind ?? "step",
      steps: task?.kind === "planning" ? this.stepsOf(directiveId!) : [],
      round: this.#rounds.get(taskId) ?? 0
    }
  }
}
