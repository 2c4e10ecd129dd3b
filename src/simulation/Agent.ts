/** What a simulated agent does with a task. Users of the simulator give a function of their own for this. */
import type { DirectiveCommand, NewStep } from "../actors/DirectiveCommand.ts"
import type { Step } from "../actors/DirectiveState.ts"
import type { SpawnTask } from "../daemon/Protocol.ts"
import type { TaskKind } from "../events/DirectiveEvent.ts"
import type { Chance } from "./internal/chance.ts"
import type { Faults } from "./internal/faults.ts"
import type { Profile } from "./Profile.ts"

/** A command that an agent gives its directive, so long after it began, in virtual milliseconds. */
export interface AgentCommand {
  readonly after: number
  readonly command: DirectiveCommand
}

export interface Work {
  /** How long the agent takes, in virtual milliseconds. */
  readonly millis: number
  /** `never`: it goes on until it is interrupted, or until nothing goes wrong any more. */
  readonly ends: "well" | "badly" | "never"
  /** They are given one after another, and the agent ends after the last has been answered. */
  readonly commands?: ReadonlyArray<AgentCommand>
}

/** What an agent knows of its task. */
export interface Assignment {
  readonly task: SpawnTask
  readonly kind: TaskKind
  /** The steps that its directive has. */
  readonly steps: ReadonlyArray<Step>
  /** How many plans there were before, where it makes one. */
  readonly round: number
  /** Drawn for this task and hand-over; the same in every run of the seed. */
  readonly chance: Chance
}

export type Agent = (assignment: Assignment) => Work

/** The agents of a profile: most do what they should. */
export const agentOf = (profile: Profile, faults: Faults): Agent => (assignment) => {
  const { chance, kind, task } = assignment
  const about = `${task.taskId} ${task.handOver}`
  const name = `the agent of ${JSON.stringify(task.taskName)}`
  const millis = chance.spread(...profile.agentMillis)
  const ends = faults.strikes("agentHangs", about, () => `${name} hangs`)
    ? "never"
    : faults.strikes("agentFails", about, () => `${name} fails`)
    ? "badly"
    : "well"
  switch (kind) {
    case "step":
      return { millis, ends }
    case "planning":
      return { millis, ends, commands: plan(profile, faults, assignment, about, name, millis) }
    case "completion": {
      const isForgotten = faults.strikes("prUrlMissing", about, () => `${name} does not say where the pull request is`)
      const command = { _tag: "UpdateDirective", prUrl: `https://git.example/pull/${task.taskId.slice(0, 4)}` } as const
      return { millis, ends, commands: isForgotten || ends !== "well" ? [] : [{ after: millis >> 1, command }] }
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
