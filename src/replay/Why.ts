/**
 * Why a directive and each of its unfinished steps are where they are, in sentences. Pure: a reading of the state and of
 * what is known about the daemons. It decides nothing, and nothing is decided by it.
 */
import { HashMap, Schema } from "effect"
import * as Directive from "../actors/Directive.ts"
import { StepStatus } from "../actors/DirectiveCommand.ts"
import { isOpen, stepOf, taskOf } from "../actors/DirectiveState.ts"
import { Parked } from "../actors/Supervisor.ts"
import { StepId } from "../events/Ids.ts"
import {
  type Daemon,
  isFinished,
  isoTime,
  isOverFront,
  nameCharsMax,
  named,
  type Scene,
  withStatus
} from "./internal/scene.ts"
import { ofTask } from "./internal/taskSentences.ts"
import { counted, listed, oneLine, quoted } from "./internal/text.ts"

export type { Daemon }

const Brief = Schema.Struct({ stepId: StepId, name: Schema.String, status: StepStatus })

export const Why = Schema.Struct({
  directive: Schema.String,
  /** What was recorded as the reason, where the directive is paused or needs attention. */
  reason: Schema.NullOr(Schema.String),
  /** Since when its actor is parked, and why: then nothing happens to it, whatever else is said here. */
  parked: Schema.NullOr(Parked),
  steps: Schema.Array(Schema.Struct({
    ...Brief.fields,
    because: Schema.String,
    /** The first of the steps that come before it. */
    waitsFor: Schema.Array(Brief)
  }))
})
export type Why = typeof Why.Type

const reasonCharsMax = 500
const waitsForMax = 20
const blockersMax = 4
/** `now` is in milliseconds since 1970: daemons that failed to take a task are left out until some time. */
export const why = (
  state: Directive.State,
  daemons: ReadonlyArray<Daemon>,
  now: number,
  parked?: Parked
): Why => {
  const steps = HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence)
  const scene: Scene = {
    state,
    steps,
    daemons,
    now,
    front: frontOf(steps),
    blockers: blockersOf(state, steps),
    canGoOut: new Set([...Directive.waitingTasks(state)].map((task) => task.id))
  }
  return {
    directive: parked === undefined ? ofDirective(scene) : `${ofParked(scene, parked)} ${ofDirective(scene)}`,
    reason: (state.status === "paused" ? state.pausedBecause : state.attention) ?? null,
    parked: parked ?? null,
    steps: steps.filter((step) => !isFinished(step)).map((step) => ({
      ...brief(step),
      because: ofStep(scene, step),
      waitsFor: step.status === "pending" ? waitsFor(scene, step).slice(0, waitsForMax).map(brief) : []
    }))
  }
}

const brief = ({ id, name, status }: Directive.Step) => ({ stepId: id, name, status })

const frontOf = (steps: ReadonlyArray<Directive.Step>): ReadonlyArray<Directive.Step> => {
  const open = steps.filter((step) => !step.draft && !isFinished(step))
  const lowest = open.reduce((least, { orderIndex }) => Math.min(least, orderIndex), Number.POSITIVE_INFINITY)
  return open.filter((step) => step.orderIndex === lowest)
}

/** One pass is enough: a step is added after those that it depends on. */
const blockersOf = (state: Directive.State, steps: ReadonlyArray<Directive.Step>): Scene["blockers"] => {
  const failed = steps.filter((step) => step.status === "failed").sort((a, b) => a.orderIndex - b.orderIndex)
  const blockers = new Map<StepId, ReadonlyArray<Directive.Step>>()
  for (const step of steps) {
    if (step.status !== "pending" || step.draft) continue
    const found = new Set<Directive.Step>()
    for (const dependency of dependenciesOf(state, step)) {
      for (const blocker of dependency.status === "failed" ? [dependency] : blockers.get(dependency.id) ?? []) {
        found.add(blocker)
      }
    }
    for (const lower of failed) {
      if (lower.orderIndex >= step.orderIndex || found.size >= blockersMax) break
      found.add(lower)
    }
    blockers.set(step.id, [...found].slice(0, blockersMax))
  }
  return blockers
}

const dependenciesOf = (state: Directive.State, step: Directive.Step): ReadonlyArray<Directive.Step> =>
  step.dependsOn.map((id) => stepOf(state, id)!).filter((dependency) => !isFinished(dependency))

const waitsFor = (scene: Scene, step: Directive.Step): ReadonlyArray<Directive.Step> => [
  ...new Set([
    ...dependenciesOf(scene.state, step),
    ...(isOverFront(scene, step) ? scene.front.slice(0, waitsForMax) : [])
  ])
]

// Steps

const ofStep = (scene: Scene, step: Directive.Step): string => {
  const { state } = scene
  if (step.status === "failed") return ofFailed(step)
  const task = step.taskId === undefined ? undefined : taskOf(state, step.taskId)
  if (task !== undefined && isOpen(task)) return ofTask(scene, task)
  if (state.status === "archived") return "The directive is archived: it does not go on."
  if (step.status === "pending") return ofPending(scene, step)
  return state.status === "active"
    ? "Its task is about to be made."
    : `It gets a task when the directive, which is ${state.status}, is active.`
}

const ofFailed = ({ failure, id }: Directive.Step): string =>
  `It failed: ${oneLine(failure ?? "no reason was given", reasonCharsMax)}. ` +
  `\`makima directive retry ${id}\` tries it again, \`makima directive skip ${id}\` goes on without it.`

const ofPending = (scene: Scene, step: Directive.Step): string => {
  const { blockers, front, state } = scene
  if (step.draft) return ofDraft(state)
  const dependencies = dependenciesOf(state, step)
  const reasons = [
    ...(dependencies.length === 0 ? [] : [`It waits for ${listed(dependencies, withStatus)}.`]),
    ...(isOverFront(scene, step)
      ? [`Steps with orderIndex ${front[0]!.orderIndex} come first: ${listed(front, withStatus)}.`]
      : [])
  ]
  const blocking = blockers.get(step.id) ?? []
  if (blocking.length > 0) {
    reasons.push(
      blocking.length === 1
        ? `It is blocked until ${named(blocking[0]!)}, which failed, is retried or skipped.`
        : `It is blocked until ${listed(blocking, named)}, which failed, are retried or skipped.`
    )
  }
  if (reasons.length > 0) return reasons.join(" ")
  return state.status === "draft" ? "It goes first when the directive is started." : "It is about to become ready."
}

const ofDraft = (state: Directive.State): string => {
  if (state.planningTaskId === undefined) {
    return "It was added by a plan that did not end well, and takes part when the next plan does."
  }
  const task = taskOf(state, state.planningTaskId)!
  return `It belongs to a plan that is still being made, and takes part when ${
    quoted(task.name, nameCharsMax)
  } ends well.`
}

// The directive

const ofParked = ({ state }: Scene, { cause, since }: Parked): string =>
  `Its actor failed too often and is parked since ${isoTime(since)}, so nothing happens to it: ${
    oneLine(cause, reasonCharsMax)
  }. \`makima directive resume ${state.id}\` lets it run again.`

const ofDirective = (scene: Scene): string => {
  const { state } = scene
  switch (state.status) {
    case "draft":
      return state.id === undefined
        ? "It does not exist yet."
        : `It is a draft: \`makima directive start ${state.id}\` sets it going.`
    case "active":
      return ofActive(scene)
    case "paused":
      return `It is paused: ${
        oneLine(state.pausedBecause ?? "", reasonCharsMax)
      }. \`makima directive resume ${state.id}\` ${state.planFailed ? "plans again" : "goes on"}.`
    case "stalled":
      return `It is stalled: ${stalledBy(scene)}. ${ofCompletion(scene)}`.trim()
    case "idle":
      return `All its steps have ended. ${ofCompletion(scene)}`
    case "archived":
      if (state.removed !== undefined) return `It was removed; its history is in the export ${state.removed}.`
      return state.openTasks === 0
        ? "It is archived."
        : `It is archived, with ${counted(state.openTasks, "task")} still being interrupted.`
  }
}

const ofActive = (scene: Scene): string => {
  const { state, steps } = scene
  const count = (status: StepStatus) => steps.filter((step) => step.status === status).length
  const statuses = (["running", "ready", "pending", "failed"] as const).filter((status) => count(status) > 0)
  const work = statuses.length === 0
    ? ""
    : `${counted(steps.length, "step")}: ${statuses.map((status) => `${count(status)} ${status}`).join(", ")}.`
  if (state.planningTaskId === undefined) return work === "" ? "It is active." : `It is at work on ${work}`
  const task = taskOf(state, state.planningTaskId)!
  const planned = `Revision ${task.revision} of its goal is being planned. ${ofTask(scene, task)}`
  return work === "" ? planned : `${planned} It has ${work}`
}

const stalledBy = (scene: Scene): string => {
  const failed = scene.steps.filter((step) => step.status === "failed")
  return listed(failed, (step) => {
    const held = heldUpBy(scene, step)
    return `${named(step)} failed and holds up ${held === 0 ? "nothing" : counted(held, "step")}`
  })
}

/** How many pending steps wait for this one in the end. */
const heldUpBy = ({ state, steps }: Scene, failed: Directive.Step): number => {
  const held = new Set([failed.id])
  for (const step of steps) {
    if (step.status !== "pending" || step.draft) continue
    const isHeld = step.orderIndex > failed.orderIndex || dependenciesOf(state, step).some(({ id }) => held.has(id))
    if (isHeld) held.add(step.id)
  }
  return held.size - 1
}

const ofCompletion = (scene: Scene): string => {
  const { state, steps } = scene
  const again = `\`makima directive complete ${state.id}\``
  if (state.completionTaskId !== undefined) {
    const attempt = state.completionAttempts > 1 ? ` (attempt ${state.completionAttempts})` : ""
    return `The pull request is under way${attempt}. ${ofTask(scene, taskOf(state, state.completionTaskId)!)}`
  }
  if (state.attention !== undefined) {
    return `It needs attention: ${oneLine(state.attention, reasonCharsMax)}. ${again} tries again.`
  }
  if (state.completionDueAt !== undefined) {
    return `The pull request is tried again at ${
      isoTime(state.completionDueAt)
    }, after attempt ${state.completionAttempts} failed.`
  }
  if (!steps.some((step) => step.status === "completed")) return "None was completed, so there is no pull request."
  if (state.repositoryUrl === undefined) return "It has no repository, so there is no pull request."
  if (state.unmerged > 0) return `${again} opens a pull request with what is completed.`
  const where = state.prUrl === undefined ? state.prBranch : state.prUrl
  return `What was completed is in the pull request${
    where === undefined ? "" : ` (${oneLine(where, reasonCharsMax)})`
  }.`
}
