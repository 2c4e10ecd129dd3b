/** What a simulated agent does with a task. Users of the simulator give a function of their own for this. */
import type { DirectiveCommand, NewStep } from "../actors/DirectiveCommand.ts"
import type { Step } from "../actors/DirectiveState.ts"
import type { SpawnTask } from "../daemon/Protocol.ts"
import type { TaskKind } from "../events/DirectiveEvent.ts"
import type { Chance } from "./internal/chance.ts"
import type { Faults } from "./internal/faults.ts"
import { checkedWork } from "./internal/given.ts"
import { traced } from "./internal/guard.ts"
import type { Profile } from "./Profile.ts"

/** A command that an agent gives its directive, so long after it began, in virtual milliseconds. */
export interface AgentCommand {
  readonly after: number
  readonly command: DirectiveCommand
}

/** What an agent does with one task: what it ends with is what its daemon reports. */
export interface Work {
  /** How long the agent takes, in virtual milliseconds. */
  readonly millis: number
  /** `never`: it goes on until it is interrupted, or until nothing goes wrong any more. */
  readonly ends: "well" | "badly" | "never"
  /**
   * They are given one after another, and the agent ends after the last has been answered. A planner adds its steps with
   * these (`AddSteps`), and who completes says where the pull request is (`UpdateDirective`).
   */
  readonly commands: ReadonlyArray<AgentCommand>
}

/** What an agent knows of its task. */
export interface Assignment {
  /** What the daemon was sent: the prompt is its `plan`. */
  readonly task: SpawnTask
  readonly kind: TaskKind
  /** The steps that its directive has, where it makes a plan. */
  readonly steps: ReadonlyArray<Step>
  /** How many plans there were before, where it makes one. */
  readonly round: number
  /** Drawn for this task and hand-over; the same in every run of the seed. */
  readonly chance: Chance
}

/**
 * What an agent does with a task that it was handed. Whatever it leaves out is as the profile has it, with its faults:
 * `{}` is an agent like any other. Called once a hand-over; it may draw from `chance`, and from nothing else.
 */
export type Agent = (assignment: Assignment) => Partial<Work>

/** The agents of a profile, most of which do what they should, as far as `own` says nothing else. */
export const agentOf =
  (profile: Profile, faults: Faults, own: Agent = () => ({})) => (assignment: Assignment): Work => {
    const { chance, task } = assignment
    const said = checkedWork(traced("the agent", () => own(assignment)))
    const about = `${task.taskId} ${task.handOver}`
    const name = `the agent of ${JSON.stringify(task.taskName)}`
    const millis = said.millis ?? chance.spread(...profile.agentMillis)
    const ends = said.ends ?? (faults.strikes("agentHangs", about, () => `${name} hangs`)
      ? "never"
      : faults.strikes("agentFails", about, () => `${name} fails`)
      ? "badly"
      : "well")
    return {
      millis,
      ends,
      commands: said.commands ?? commandsOf(profile, faults, assignment, about, name, millis, ends)
    }
  }

const commandsOf = (
  profile: Profile,
  faults: Faults,
  assignment: Assignment,
  about: string,
  name: string,
  millis: number,
  ends: Work["ends"]
): ReadonlyArray<AgentCommand> => {
  switch (assignment.kind) {
    case "step":
      return []
    case "planning":
      return plan(profile, faults, assignment, about, name, millis)
    case "completion": {
      const isForgotten = faults.strikes("prUrlMissing", about, () => `${name} does not say where the pull request is`)
      const prUrl = `https://git.example/pull/${assignment.task.taskId.slice(0, 4)}`
      return isForgotten || ends !== "well"
        ? []
        : [{ after: millis >> 1, command: { _tag: "UpdateDirective", prUrl } }]
    }
  }
}

const plan = (
  profile: Profile,
  faults: Faults,
  { chance, round, steps }: Assignment,
  about: string,
  name: string,
  millis: number
): ReadonlyArray<AgentCommand> => {
  const commands: Array<AgentCommand> = []
  const wait = () => chance.between(1, Math.max(1, millis >> 2))
  const pending = steps.filter(({ status }) => status === "pending")
  if (pending.length > 0 && faults.strikes("planSkips", about, () => `${name} skips a step that is there`)) {
    commands.push({ after: wait(), command: { _tag: "SkipStep", stepId: chance.pick(pending).id } })
  }
  if (faults.strikes("planEmpty", about, () => `${name} adds no steps`)) return commands
  if (faults.strikes("planWrong", about, () => `${name} adds steps that depend on each other`)) {
    commands.push({ after: wait(), command: { _tag: "AddSteps", steps: circle } })
  }
  const mean = Math.max(1, Math.round(profile.steps / profile.directives))
  const count = round === 0 ? chance.between(Math.ceil(mean / 2), Math.floor(mean * 1.5)) : chance.between(1, 3)
  const batches = chance.is(0.7) || count < 2 ? [count] : [count >> 1, count - (count >> 1)]
  for (const [index, size] of batches.entries()) {
    commands.push({
      after: wait(),
      command: { _tag: "AddSteps", steps: batchOf(chance, `${round}.${index}`, size, steps) }
    })
  }
  return commands
}

const circle: ReadonlyArray<NewStep> = [
  { key: "a", name: "First", dependsOn: ["b"] },
  { key: "b", name: "Second", dependsOn: ["a"] }
]

/** Steps that depend on some of those before them, in up to three levels. */
export const batchOf = (
  chance: Chance,
  about: string,
  size: number,
  existing: ReadonlyArray<Step>
): ReadonlyArray<NewStep> => {
  const levels = chance.between(1, 3)
  const batch: Array<NewStep> = []
  for (let at = 0; at < size; at += 1) {
    const orderIndex = Math.floor(at * levels / size)
    const dependsOn: Array<string> = []
    for (const before of batch) {
      if (dependsOn.length < 3 && chance.is(0.2)) dependsOn.push(before.key!)
    }
    const known = existing.length > 0 && chance.is(0.2) ? chance.pick(existing) : undefined
    if (known !== undefined && known.orderIndex <= orderIndex) dependsOn.push(known.id)
    batch.push({ key: `k${at}`, name: `Step ${about}.${at}`, dependsOn, orderIndex })
  }
  return batch
}
