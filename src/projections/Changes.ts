/**
 * What an event changes in the read models: values that are laid over rows.
 *
 * Values are absolute, never counted up, so applying an event again changes nothing. An event only says what it knows:
 * the owner of steps and tasks is the one of their directive, which readers join.
 */
import type { DaemonEvent } from "../events/DaemonEvent.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { RecordedEvent } from "../events/EventLog.ts"
import type { DirectiveId, OwnerId } from "../events/Ids.ts"
import type { Table, Values } from "./Rows.ts"

/** Values to be laid over the row with that id, which they make if they are complete. */
export type Change = {
  readonly [T in Table]: { readonly table: T; readonly id: string; readonly values: Partial<Omit<Values<T>, "id">> }
}[Table]

/** One row's worth of changes, with its id. */
export type MergedRow = Readonly<Record<string, unknown>> & { readonly id: string }

export const changes = (recorded: RecordedEvent): ReadonlyArray<Change> => {
  const { event } = recorded
  switch (event._tag) {
    case "DaemonConnected":
    case "DaemonSuspected":
    case "DaemonLost":
      return [daemonChange(recorded, event)].map(storable)
    case "ActorStarted":
    case "ActorStopped":
    case "ActorFailed":
    case "ActorRestartScheduled":
    case "ActorParked":
    case "ActorResumed":
    case "ActorTakenOver":
      return []
    default:
      return directiveChanges(recorded, event).map(storable)
  }
}

/** The directives of which no rows are left after these events. Nothing follows in their streams. */
export const removals = (events: ReadonlyArray<RecordedEvent>): ReadonlyArray<DirectiveId> =>
  events.flatMap(({ event }) => event._tag === "DirectiveRemoved" ? [event.directiveId] : [])

/** The changes of many events, one row each: later values lie over earlier ones. */
export const merged = (all: Iterable<Change>): ReadonlyMap<Table, ReadonlyArray<MergedRow>> => {
  const rows = new Map<Table, Map<string, MergedRow>>()
  for (const { id, table, values } of all) {
    let ofTable = rows.get(table)
    if (ofTable === undefined) rows.set(table, ofTable = new Map())
    const row = ofTable.get(id)
    if (row === undefined) ofTable.set(id, { ...values, id })
    else Object.assign(row, values)
  }
  return new Map([...rows].map(([table, ofTable]) => [table, [...ofTable.values()]]))
}

const daemonChange = ({ at, stream }: RecordedEvent, event: DaemonEvent): Change => {
  const daemon = (values: Partial<Values<"daemons">>): Change => ({
    table: "daemons",
    id: event.daemonId,
    values: { ...values, since: at }
  })
  switch (event._tag) {
    case "DaemonConnected":
      return daemon({
        ownerId: stream.slice("daemons-".length) as OwnerId,
        machineId: event.machineId,
        hostname: event.hostname,
        maxConcurrentTasks: event.maxConcurrentTasks,
        status: "connected",
        lostAt: null
      })
    case "DaemonSuspected":
      return daemon({ status: "suspect", lostAt: event.lostAt })
    case "DaemonLost":
      return daemon({ status: "lost", lostAt: null })
  }
}

/** Something new has come: earlier failures of the completion count no more. */
const rested = { attention: null, completionDueAt: null } as const

const directiveChanges = (recorded: RecordedEvent, event: DirectiveEvent): ReadonlyArray<Change> => {
  const { at, position, stream, version } = recorded
  const directiveId = stream.slice("directive-".length) as DirectiveId
  const directive = (values: Partial<Values<"directives">>): Change => ({
    table: "directives",
    id: directiveId,
    values: { ...values, updatedAt: at }
  })
  const step = (id: string, values: Partial<Values<"steps">>): Change => ({ table: "steps", id, values })
  const task = (id: string, values: Partial<Values<"tasks">>): Change => ({ table: "tasks", id, values })
  const memory = (key: string, values: Partial<Values<"memories">>): Change => ({
    table: "memories",
    id: `${directiveId}/${key}`,
    values: { directiveId, key, ...values }
  })
  switch (event._tag) {
    case "DirectiveCreated":
      return [directive({
        ownerId: event.ownerId,
        title: event.title,
        goal: event.goal,
        goalRevision: 1,
        status: "draft",
        pausedBecause: null,
        attention: null,
        repositoryUrl: event.repositoryUrl ?? null,
        baseBranch: event.baseBranch,
        memoryEnabled: event.memoryEnabled,
        prUrl: null,
        prBranch: null,
        generation: 0,
        completionDueAt: null,
        createdAt: at,
        createdPosition: position
      })]
    case "DirectiveStarted":
    case "DirectiveReactivated":
      return [directive({ status: "active" })]
    case "DirectiveResumed":
      return [directive({ status: "active", pausedBecause: null, attention: null })]
    case "DirectivePaused":
      return [directive({ status: "paused", pausedBecause: event.reason })]
    case "DirectiveIdled":
      return [directive({ status: "idle" })]
    case "DirectiveStalled":
      return [directive({ status: "stalled" })]
    case "DirectiveArchived":
      return [directive({ status: "archived", completionDueAt: null })]
    case "DirectiveUpdated": {
      const { _tag, repositoryUrl, ...values } = event
      return [directive(repositoryUrl === undefined ? values : { ...values, repositoryUrl: repositoryUrl || null })]
    }
    case "GoalChanged":
      return [directive({ ...rested, goal: event.goal, goalRevision: event.revision })]
    case "StepAdded":
      return [
        // No step is of an earlier generation than one before it, so the last one has the directive's.
        directive({ generation: event.generation }),
        step(event.stepId, {
          directiveId,
          version,
          name: event.name,
          description: event.description ?? null,
          taskPlan: event.taskPlan ?? null,
          dependsOn: event.dependsOn,
          orderIndex: event.orderIndex,
          generation: event.generation,
          status: "pending",
          taskId: null,
          failure: null
        })
      ]
    case "StepReadied":
      return [directive({}), step(event.stepId, { status: "ready" })]
    case "StepStarted":
      return [directive({}), step(event.stepId, { status: "running" })]
    case "StepCompleted":
      return [directive(rested), step(event.stepId, { status: "completed", failure: null })]
    case "StepFailed":
      return [directive({}), step(event.stepId, { status: "failed", failure: event.reason })]
    case "StepSkipped":
      return [directive({}), step(event.stepId, { status: "skipped" })]
    case "StepRetried":
      return [directive({}), step(event.stepId, { status: "pending", taskId: null, failure: null })]
    case "TaskCreated":
      return [
        directive({
          ...(event.kind === "completion" ? rested : {}),
          ...(event.prBranch === undefined ? {} : { prBranch: event.prBranch })
        }),
        task(event.taskId, {
          directiveId,
          version,
          stepId: event.stepId ?? null,
          kind: event.kind,
          name: event.name,
          description: event.description,
          plan: event.plan,
          repositoryUrl: event.repositoryUrl ?? null,
          baseBranch: event.baseBranch ?? null,
          completionAction: event.completionAction ?? null,
          continueFromTaskId: event.continueFromTaskId ?? null,
          status: "pending",
          daemonId: null,
          handOver: 0,
          reason: null,
          createdAt: at,
          endedAt: null
        }),
        ...(event.stepId === undefined ? [] : [step(event.stepId, { taskId: event.taskId })])
      ]
    case "TaskHandedOver":
      return [
        directive({}),
        task(event.taskId, { status: "starting", daemonId: event.daemonId, handOver: event.handOver })
      ]
    case "HandOverFailed":
      return [directive({}), task(event.taskId, { status: "pending", daemonId: null })]
    case "TaskStarted":
      return [directive({}), task(event.taskId, { status: "running" })]
    case "TaskCompleted":
      return [directive({}), task(event.taskId, { status: "completed", endedAt: at })]
    case "TaskFailed":
      return [directive({}), task(event.taskId, { status: "failed", reason: event.reason, endedAt: at })]
    case "TaskInterrupted":
      return [directive({}), task(event.taskId, { status: "interrupted", reason: event.reason, endedAt: at })]
    case "CompletionDelayed":
      return [directive({ completionDueAt: event.until })]
    case "AttentionNeeded":
      return [directive({ attention: event.reason, completionDueAt: null })]
    case "MemorySet":
      return [directive({}), memory(event.key, { value: event.value, category: event.category ?? null })]
    case "MemoryRemoved":
      return [directive({}), memory(event.key, { value: null, category: null })]
    case "PlanAccepted":
    case "InterruptRequested":
    case "ReportIgnored":
    case "CommandAnswered":
      return [directive({})]
    // Its rows go: see `removals`.
    case "DirectiveRemoved":
      return []
  }
}

/** PostgreSQL keeps neither NUL nor half characters, so they go before rows are told apart by their ids. */
const storable = (change: Change): Change =>
  ({
    table: change.table,
    id: storableText(change.id),
    values: Object.fromEntries(
      Object.entries(change.values).map(([name, value]) => [
        name,
        typeof value === "string" ? storableText(value) : value
      ])
    )
  }) as Change

const storableText = (text: string): string => {
  const formed = text.toWellFormed()
  return formed.includes("\0") ? formed.replaceAll("\0", "") : formed
}
