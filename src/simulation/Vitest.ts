/**
 * `makima-runtime/simulation/vitest`: `it.simulate`, a test that has to hold in many worlds. All else of vitest is here,
 * too. Nothing but this file knows a test framework; `run` works in any.
 */
import { Clock, Config, Effect, Option } from "effect"
import * as V from "vitest"
import * as Given from "./internal/given.ts"
import { traced } from "./internal/guard.ts"
import { type Invariant, type Observed, Violation } from "./Invariant.ts"
import { shrink } from "./Shrink.ts"
import { type Options, type Outcome, run } from "./Simulation.ts"
import * as Story from "./Story.ts"

export * from "vitest"

export interface SimulateOptions extends Omit<Options, "seed" | "only"> {
  /** The first seed, a whole number from 0 on; 1 if unset. */
  readonly seed?: number
  /** How many seeds there are, each one more than the one before; 20 if unset, and 1 with `only`. */
  readonly seeds?: number
  /** As many seeds as so many real minutes have time for, instead of `seeds`. */
  readonly minutes?: number
  /** Keys of all that may happen, as a failure prints them; without this, everything that a seed has. */
  readonly only?: ReadonlyArray<string>
}

/**
 * What has to hold at the end of every run, when nothing goes wrong any more and nothing is under way: an assertion of any
 * kind that throws. It cannot wait for anything.
 */
export type Check = (observed: Observed) => void

/**
 * A test that runs the simulator with some seeds, `MAKIMA_SEED` alone if that is set in the environment. It fails with the
 * first seed in which an invariant or the check does not hold, shrinks it to the fewest operations and faults that still
 * fail, and throws a `SimulationFailed` with the story of that. It has no timeout: nothing could interrupt a run.
 */
export type Simulate = (name: string, options?: SimulateOptions, check?: Check) => void

const seedsDefault = 20
/** Shrinking is one synchronous call, and vitest takes a worker for dead that says nothing for a minute. */
const shrinkRunsMax = 200

/** A seed in which something does not hold. The message is its story, and a test that can be pasted. */
export class SimulationFailed extends Error {
  override readonly name = "SimulationFailed"
  readonly outcome: Outcome
  /** The keys of what has to happen for it to fail. */
  readonly only: ReadonlyArray<string>

  constructor(message: string, outcome: Outcome, only: ReadonlyArray<string>, cause: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.outcome = outcome
    this.only = only
  }
}

const register = (test: typeof V.test | typeof V.test.only | typeof V.test.skip): Simulate => {
  const simulate: Simulate = (name, options = {}, check) => {
    // A failure points to where the test is, not into the simulator.
    const place = new Error()
    Error.captureStackTrace(place, simulate)
    test(name, { timeout: 0 }, () => Effect.runPromise(holds(name, options, check, place)))
  }
  return simulate
}

/** `it.simulate` by itself, for those who have an `it` of their own. */
export const simulate: Simulate & { readonly only: Simulate; readonly skip: Simulate } = Object.assign(
  register(V.test),
  { only: register(V.test.only), skip: register(V.test.skip) }
)

/** The `it` of vitest, which stays as it was, with `it.simulate`. */
export const it: V.TestAPI & { readonly simulate: typeof simulate } = Object.assign(V.test.extend({}), { simulate })

/** A seed is what it says, not what it would be rounded to; set to nothing is not set. */
const environmentSeed = Effect.gen(function*() {
  const text = Option.getOrElse(yield* Effect.orDie(Config.option(Config.String("MAKIMA_SEED"))), () => "")
  if (text === "") return undefined
  const seed = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(seed)) return seed
  return yield* Effect.die(
    new RangeError(`MAKIMA_SEED is ${JSON.stringify(text)}: it has to be a whole number from 0 on`)
  )
})

const holds = Effect.fnUntraced(
  function*(name: string, options: SimulateOptions, check: Check | undefined, place: Error) {
    const problem = problemOf(options)
    if (problem !== undefined) return yield* Effect.die(new RangeError(problem))
    const { minutes, only, seed: first = 1, seeds, ...rest } = options
    const given = only === undefined ? yield* environmentSeed : undefined
    const start = given ?? first
    const count = given !== undefined || (only !== undefined && seeds === undefined)
      ? 1
      : seeds ?? (minutes === undefined ? seedsDefault : Infinity)
    const until = minutes === undefined ? Infinity : (yield* Clock.currentTimeMillis) + minutes * 60_000
    for (let seed = start; seed < start + count; seed += 1) {
      const one: Options = { ...rest, seed, ...(only === undefined ? {} : { only: new Set(only) }) }
      const failure = failureOf(name, options, one, check)
      if (failure !== undefined) {
        failure.stack = `${failure.name}: ${failure.message}\n${framesOf(place)}`
        return yield* Effect.die(failure)
      }
      // Vitest hears that the worker is alive.
      yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      if ((yield* Clock.currentTimeMillis) >= until) return
    }
  }
)

const problemOf = ({ minutes, seed = 1, seeds, ...rest }: SimulateOptions): string | undefined => {
  const count = seeds ?? (minutes === undefined && rest.only === undefined ? seedsDefault : 1)
  if (!Number.isSafeInteger(count) || count < 1) return `seeds is ${count}: it has to be a whole number from 1 on`
  if (minutes !== undefined && !(minutes > 0)) return `minutes is ${minutes}: it has to be more than 0`
  const problem = Given.problemOf({ ...rest, seed }, ["seeds", "minutes"])
  if (problem === undefined && seed + count - 1 > Number.MAX_SAFE_INTEGER) {
    return `${count} seeds from ${seed} on go past the last one, ${Number.MAX_SAFE_INTEGER}`
  }
  return problem
}

const failureOf = (
  name: string,
  options: SimulateOptions,
  one: Options,
  check: Check | undefined
): Error | undefined => {
  let thrown: unknown
  const own: Invariant = {
    name: "of this test",
    says: name,
    make: (observed) => ({
      end: () => {
        const found = check === undefined ? undefined : thrownBy(check, observed)
        if (found instanceof Violation) throw found
        if (found === undefined) return
        thrown = found
        observed.violated("nothing that the test throws", found instanceof Error ? found.message : String(found))
      }
    })
  }
  const held: Options = { ...one, invariants: [...one.invariants ?? [], own] }
  const failed = run(held)
  if (failed.violation === undefined) {
    // With seeds of its own it may well be that some of them have nothing of it.
    const isStale = options.seeds === undefined && options.only?.length && failed.happened.length === 0
    return isStale ? new RangeError(`only lists nothing that comes up in seed ${one.seed}`) : undefined
  }
  const { only } = shrink(held, failed, shrinkRunsMax)
  thrown = undefined
  const outcome = run({ ...held, only: new Set(only) })
  return new SimulationFailed(messageOf(name, options, outcome, only, check !== undefined), outcome, only, thrown)
}

const thrownBy = (check: Check, observed: Observed): unknown => {
  try {
    traced("the check", () => check(observed))
    return undefined
  } catch (error) {
    return error ?? new TypeError(`the check throws ${String(error)}`)
  }
}

const messageOf = (
  name: string,
  options: SimulateOptions,
  outcome: Outcome,
  only: ReadonlyArray<string>,
  isChecked: boolean
): string => {
  const { profile, seed } = outcome
  const { agent, directive, invariants, operations } = options
  const isOwn = typeof options.profile === "object" ||
    [agent, directive, invariants, operations].some((one) => one !== undefined)
  const keys = only.map((key) => `    ${JSON.stringify(key)}`).join(",\n")
  const from = isOwn ? "...options" : `profile: ${JSON.stringify(profile)}`
  const others = [...(isOwn ? ["options"] : []), ...(isChecked ? ["check"] : [])].join(" and ")
  return [
    Story.story(outcome),
    "",
    `Everything of this seed again: MAKIMA_SEED=${seed} npx vitest run -t ${JSON.stringify(name)}`,
    `This alone, as a test${others === "" ? "" : `, with the ${others} of this one`}:`,
    "",
    `it.simulate(${JSON.stringify(`${name}: seed ${seed} of ${profile}`)}, {`,
    `  ${from},`,
    `  seed: ${seed},`,
    `  only: [${keys === "" ? "" : `\n${keys}\n  `}]`,
    `}${isChecked ? ", check" : ""})`
  ].join("\n")
}

/** Whoever maps sources writes the line before them in a way of their own. */
const framesOf = ({ stack = "" }: Error): string => stack.slice(Math.max(0, stack.search(/^ +at /m)))
