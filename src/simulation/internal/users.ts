/** What people do with their directives: drawn up front, carried out on whatever is there at that time. */
import { HashMap } from "effect"
import type { DirectiveCommand, NewStep } from "../../actors/DirectiveCommand.ts"
import { answersMax, isOpen, type State, type Step, type Task } from "../../actors/DirectiveState.ts"
import { type DirectiveId, directiveIdOf, OwnerId } from "../../events/Ids.ts"
import { batchOf } from "../Agent.ts"
import { type OperationKind, operations, type Profile } from "../Profile.ts"
import type { NewDirective, Operation } from "../Users.ts"
import type { Chance } from "./chance.ts"
import { checkedDirective } from "./given.ts"
import { traced } from "./guard.ts"
import type { World } from "./world.ts"

/** Later ones would be made when everything is over. */
const createdWithinMillis = ({ minutes }: Profile): number => Math.min(300_000, minutes * 30_000)

export interface Owned {
  readonly name: string
  readonly ownerId: OwnerId
  readonly directiveId: DirectiveId
}

export const ownerOf = (world: World, index: number): OwnerId => OwnerId.make(`owner-${index % world.profile.owners}`)

/** Makes the directives of a run, and draws what happens to each of them. */
export const begin = (world: World): ReadonlyArray<Owned> =>
  Array.from({ length: world.profile.directives }, (_, index) => {
    const ownerId = ownerOf(world, index)
    const name = `directive ${index}`
    const owned = { name, ownerId, directiveId: directiveIdOf(ownerId, `create ${index}`) }
    world.time.after(
      world.faults.chance(`create ${name}`).below(createdWithinMillis(world.profile)),
      () => create(world, owned, index)
    )
    for (const kind of operations) {
      const rate = world.profile.operations[kind] ?? 0
      for (const [count, at] of world.faults.times(rate, `${kind} ${name}`).entries()) {
        world.time.after(at, () => operate(world, owned, kind, `${kind} ${name} ${count}`))
      }
    }
    for (const own of world.operations) {
      for (const [count, at] of world.faults.times(own.rate, `${own.name} ${name}`).entries()) {
        world.time.after(at, () => operateOwn(world, owned, own, `${own.name} ${name} ${count}`))
      }
    }
    return owned
  })

/** More than a directive has the answers of in its state. */
const floodCommands = answersMax + 10

/** The key with which a directive was made. */
const creationKeyOf = (name: string): string => name.replace("directive", "create")

const create = (world: World, { directiveId, name, ownerId }: Owned, index: number): void => {
  const { client, faults } = world
  const chance = faults.chance(`directive ${name}`)
  const { directive } = world
  const own = directive === undefined
    ? undefined
    : checkedDirective(name, traced("directive", () => directive(index, chance)))
  const isPlanned = own === undefined ? chance.is(0.7) : own.steps === undefined
  if (!faults.happens("create", `create ${name}`, () => `${name} is made`)) return
  const { steps: given, ...made } = own ?? madeUp(name, index, chance)
  const send = (command: DirectiveCommand, key: string, then?: () => void) =>
    client.send({ directiveId, ownerId, command, commandId: `${key} ${index}` }, then)
  send(
    { _tag: "CreateDirective", ownerId, ...made, start: isPlanned },
    "create",
    () => {
      if (isPlanned) return
      send(
        { _tag: "AddSteps", steps: given ?? givenSteps(world, chance) },
        "give steps",
        () =>
          client.sendLater(chance.below(60_000), {
            directiveId,
            ownerId,
            command: { _tag: "StartDirective" },
            commandId: `start ${index}`
          })
      )
    }
  )
}

const madeUp = (name: string, index: number, chance: Chance): NewDirective => ({
  title: `Directive ${index}`,
  goal: `Goal of ${name}`,
  ...(chance.is(0.7) ? { repositoryUrl: `https://git.example/${index}` } : {}),
  memoryEnabled: chance.is(0.5)
})

const givenSteps = (world: World, chance: Chance): ReadonlyArray<NewStep> => {
  const mean = Math.max(1, Math.round(world.profile.steps / world.profile.directives))
  return batchOf(chance, "given", chance.between(Math.ceil(mean / 2), Math.floor(mean * 1.5)), [])
}

const operateOwn = (world: World, { directiveId, name, ownerId }: Owned, own: Operation, key: string): void => {
  const { client, faults, ledger } = world
  const state = ledger.directives.get(directiveId)
  if (state === undefined) return
  const situation = { state, steps: ledger.stepsOf(directiveId), chance: faults.chance(`operation ${key}`) }
  const command = traced(`the command of operation ${own.name}`, () => own.command(situation))
  if (command === undefined) return
  if (!faults.happens("own", key, () => `${own.name}: somebody asks ${name} to ${told(command)}`)) return
  client.send({ directiveId, ownerId, command, commandId: key })
}

const operate = (world: World, owned: Owned, kind: OperationKind, key: string): void => {
  const { client, faults, ledger } = world
  const { directiveId, name, ownerId } = owned
  const state = ledger.directives.get(directiveId)
  if (state === undefined) return
  const chance = faults.chance(`operation ${key}`)
  const commandId = chance.is(0.8) ? key : undefined
  if (kind === "trespass") {
    const stranger = OwnerId.make(ownerId === "owner-0" ? "owner-1" : "owner-0")
    const command: DirectiveCommand = chance.is(0.5)
      ? { _tag: "PauseDirective" }
      : { _tag: "CreateDirective", ownerId: stranger, title: "Stolen", goal: "Have it" }
    if (!faults.happens(kind, key, () => `${stranger} tries ${command._tag} with ${name}, which is not theirs`)) return
    return client.send({ directiveId, ownerId: stranger, command, commandId: undefined })
  }
  if (kind === "flood") {
    if (!faults.happens(kind, key, () => `somebody gives ${name} more keys at once than it keeps at hand`)) return
    for (let count = 0; count < floodCommands; count += 1) {
      const command = { _tag: "SetMemory", key: `memory ${count % 3}`, value: `${key} ${count}` } as const
      client.send({ directiveId, ownerId, command, commandId: `${key} ${count}` })
    }
    return
  }
  if (kind === "reuseKey") {
    if (!faults.happens(kind, key, () => `somebody asks ${name} to pause, with the key of its creation`)) return
    return client.send({ directiveId, ownerId, command: { _tag: "PauseDirective" }, commandId: creationKeyOf(name) })
  }
  const command = commandOf(kind, state, ledger.stepsOf(directiveId), chance, key)
  if (command === undefined || !faults.happens(kind, key, () => `somebody asks ${name} to ${told(command)}`)) return
  client.send({ directiveId, ownerId, command, commandId })
}

/** The command for what is there now, or for what is not: people make mistakes, but not most of the time. */
const commandOf = (
  kind: Exclude<OperationKind, "trespass" | "flood" | "reuseKey">,
  state: State,
  steps: ReadonlyArray<Step>,
  chance: Chance,
  key: string
): DirectiveCommand | undefined => {
  const step = (status: Step["status"]) => {
    const fitting = steps.filter((one) => one.status === status)
    return fitting.length > 0 && chance.is(0.9)
      ? chance.pick(fitting)
      : steps.length > 0
      ? chance.pick(steps)
      : undefined
  }
  switch (kind) {
    case "addSteps":
      return { _tag: "AddSteps", steps: batchOf(chance, key.replace(" directive", ""), chance.between(1, 3), steps) }
    case "changeGoal":
      return { _tag: "UpdateDirective", goal: `Another goal: ${key}` }
    case "update":
      return chance.pick<DirectiveCommand>([
        { _tag: "UpdateDirective", title: `Another title ${chance.below(10)}` },
        { _tag: "UpdateDirective", repositoryUrl: chance.is(0.3) ? null : `https://git.example/${chance.below(10)}` },
        { _tag: "UpdateDirective", memoryEnabled: chance.is(0.5) },
        { _tag: "UpdateDirective", baseBranch: "trunk" }
      ])
    case "pause":
      return { _tag: "PauseDirective" }
    case "resume":
      return { _tag: "ResumeDirective" }
    case "archive":
      return { _tag: "ArchiveDirective" }
    case "complete":
      return { _tag: "CompleteDirective" }
    case "retryStep": {
      const failed = step("failed")
      return failed === undefined ? undefined : { _tag: "RetryStep", stepId: failed.id }
    }
    case "skipStep": {
      const skipped = step(chance.pick(["failed", "pending", "ready"]))
      return skipped === undefined ? undefined : { _tag: "SkipStep", stepId: skipped.id }
    }
    case "setMemory":
      return { _tag: "SetMemory", key: `memory ${chance.below(3)}`, value: key }
    case "removeMemory":
      return { _tag: "RemoveMemory", key: `memory ${chance.below(3)}` }
    case "interruptTask": {
      const tasks: ReadonlyArray<Task> = HashMap.toValues(state.tasks)
      const open = tasks.filter(isOpen)
      const task = open.length > 0 ? chance.pick(open) : tasks[0]
      return task === undefined ? undefined : { _tag: "InterruptTask", taskId: task.id }
    }
  }
}

const told = (command: DirectiveCommand): string => {
  switch (command._tag) {
    case "AddSteps":
      return `take ${command.steps.length} more steps`
    case "UpdateDirective":
      return `change its ${Object.keys(command).filter((field) => field !== "_tag").join()}`
    case "RetryStep":
    case "SkipStep":
      return `${command._tag === "RetryStep" ? "retry" : "skip"} step ${command.stepId.slice(0, 8)}`
    case "InterruptTask":
      return `interrupt task ${command.taskId.slice(0, 8)}`
    default:
      return command._tag
  }
}
