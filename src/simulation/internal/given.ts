/**
 * What users of the simulator give it, held against what it takes: a test that is passed over in silence says that something
 * holds.
 */
import { Result, Schema } from "effect"
import { Goal, NewStep, RepositoryUrl, Title } from "../../actors/DirectiveCommand.ts"
import { problemOfSteps } from "../../actors/StepsProblem.ts"
import { fieldName, findingOf } from "../../server/Findings.ts"
import type { Work } from "../Agent.ts"
import { chances, operations as operationKinds, type Profile, profiles, rates } from "../Profile.ts"
import type { Options } from "../Simulation.ts"
import type { NewDirective } from "../Users.ts"

const optionKeys: Readonly<Record<keyof Options, true>> = {
  seed: true,
  profile: true,
  only: true,
  agent: true,
  directive: true,
  operations: true,
  invariants: true
}

const profileKeys: Readonly<Record<keyof Profile, true>> = {
  name: true,
  owners: true,
  directives: true,
  steps: true,
  daemons: true,
  minutes: true,
  settleMinutes: true,
  agentMillis: true,
  faults: true,
  operations: true
}

const workKeys: Readonly<Record<keyof Work, true>> = { millis: true, ends: true, commands: true }
const endings: ReadonlyArray<Work["ends"]> = ["well", "badly", "never"]

const isAmount = (value: unknown): boolean => typeof value === "number" && value >= 0 && value < Infinity

const unknownIn = (given: object, keys: ReadonlyArray<string>): string | undefined =>
  Object.keys(given).find((key) => !keys.includes(key))

/** What is wrong with the options of a run; `more` are those of whoever makes it. */
export const problemOf = (options: Omit<Options, "only">, more: ReadonlyArray<string> = []): string | undefined => {
  const { operations = [], profile = "rough", seed } = options
  const known = [...Object.keys(optionKeys), ...more]
  const unknown = unknownIn(options, known)
  if (unknown !== undefined) return `there is no option ${unknown}: it has to be one of ${known.join(", ")}`
  if (!Number.isSafeInteger(seed) || seed < 0) return `seed is ${seed}: it has to be a whole number from 0 on`
  if (typeof profile === "string" && !Object.hasOwn(profiles, profile)) {
    return `profile is ${JSON.stringify(profile)}: it has to be one of ${Object.keys(profiles).join(", ")}`
  }
  const wrong = operations.find(({ rate }) => !isAmount(rate))
  if (wrong !== undefined) {
    return `the rate of operation ${wrong.name} is ${wrong.rate}: it has to be a number from 0 on, in an hour and directive`
  }
  return typeof profile === "string" ? undefined : problemOfProfile(profile)
}

const chanceKinds: ReadonlySet<string> = new Set(chances)
const rateKinds: ReadonlySet<string> = new Set(rates)
const peopleKinds: ReadonlySet<string> = new Set(operationKinds)

const problemOfProfile = (profile: Profile): string | undefined => {
  const known = Object.keys(profileKeys)
  const unknown = unknownIn(profile, known)
  if (unknown !== undefined) {
    return `profile ${profile.name} has ${unknown}: it has to be one of ${known.join(", ")}`
  }
  for (const [kind, value] of Object.entries(profile.faults)) {
    if (chanceKinds.has(kind)) {
      if (!isAmount(value) || value > 1) {
        return `the probability of ${kind} in profile ${profile.name} is ${value}: it has to be from 0 to 1`
      }
    } else if (!rateKinds.has(kind)) return `profile ${profile.name} has a fault ${kind}, which there is not`
    else if (!isAmount(value)) {
      return `the rate of ${kind} in profile ${profile.name} is ${value}: it has to be a number from 0 on, in an hour`
    }
  }
  for (const [kind, value] of Object.entries(profile.operations)) {
    if (!peopleKinds.has(kind)) return `profile ${profile.name} has an operation ${kind}, which there is not`
    if (!isAmount(value)) {
      return `the rate of ${kind} in profile ${profile.name} is ${value}: it has to be a number from 0 on, in an hour and ` +
        "directive"
    }
  }
  return undefined
}

/** The answer of an agent, which the types of whoever wrote it may have missed. */
export const checkedWork = (work: Partial<Work>): Partial<Work> => {
  const problem = problemOfWork(work)
  if (problem !== undefined) throw new RangeError(`the agent ${problem}`)
  return work
}

const problemOfWork = (work: Partial<Work>): string | undefined => {
  if (typeof work !== "object" || work === null) return `returns ${String(work)}: {} says that it is like any other`
  const unknown = unknownIn(work, Object.keys(workKeys))
  if (unknown !== undefined) return `returns ${unknown}: it has to be one of ${Object.keys(workKeys).join(", ")}`
  const { commands = [], ends, millis } = work
  if (ends !== undefined && !endings.includes(ends)) {
    return `ends ${JSON.stringify(ends)}: it has to be one of ${endings.join(", ")}`
  }
  if (millis !== undefined && !isAmount(millis)) return `takes ${millis} ms: it has to be a number from 0 on`
  const wrong = commands.find(({ after }) => !isAmount(after))
  return wrong && `gives a command after ${wrong.after} ms: it has to be a number from 0 on`
}

const decode = Schema.decodeUnknownResult(
  Schema.Struct({
    title: Title,
    goal: Goal,
    repositoryUrl: Schema.optional(RepositoryUrl),
    memoryEnabled: Schema.optional(Schema.Boolean),
    steps: Schema.optional(Schema.Array(NewStep))
  }),
  { onExcessProperty: "error" }
)

/** A directive that the HTTP API would take, steps and all. */
export const checkedDirective = (name: string, directive: NewDirective): NewDirective => {
  const problem = problemOfDirective(directive)
  if (problem !== undefined) throw new RangeError(`${name}: ${problem}`)
  return directive
}

const problemOfDirective = (directive: NewDirective): string | undefined => {
  const decoded = decode(directive)
  if (Result.isSuccess(decoded)) return problemOfSteps(directive)
  const { message, path } = findingOf(decoded.failure.issue)
  return path.length === 0 ? message : `${fieldName(path)}: ${message}`
}
