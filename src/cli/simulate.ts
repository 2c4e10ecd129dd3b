/** `makima simulate`: the whole runtime in virtual time, seed after seed, until an invariant fails or all are done. */
import { Clock, Console, DateTime, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import process from "node:process"
import { Coverage } from "../simulation/Coverage.ts"
import * as Parallel from "../simulation/Parallel.ts"
import { type ProfileName, profiles } from "../simulation/Profile.ts"
import { shrink } from "../simulation/Shrink.ts"
import { run } from "../simulation/Simulation.ts"
import * as Story from "../simulation/Story.ts"
import * as Configuration from "./Configuration.ts"
import { CommandFailed, UsageError } from "./Failure.ts"
import { duration } from "./OneLine.ts"

const runsDefault = 200
const threadsMax = 256
const redrawMillis = 100
const barColumns = 24

const flags = {
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.optional,
    Flag.withDescription("The first seed; without it, one that is made from the date and printed")
  ),
  runs: Flag.Int("runs").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.optional,
    Flag.withDescription(`How many seeds to run; ${runsDefault} if unset`)
  ),
  minutes: Flag.Finite("minutes").pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isGreaterThan(0))),
    Flag.optional,
    Flag.withDescription("Run as many seeds as so many real minutes have time for")
  ),
  profile: Flag.Literals("profile", Object.keys(profiles) as ReadonlyArray<ProfileName>).pipe(
    Flag.withDefault("rough"),
    Flag.withDescription("How rough the simulated world is")
  ),
  threads: Flag.Int("threads").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: threadsMax }))),
    Flag.optional,
    Flag.withDescription("How many seeds to run at a time; as many as there are processor cores if unset")
  ),
  json: Configuration.json
}

interface Done {
  readonly runs: number
  readonly seconds: number
  readonly virtualHours: number
}

export const simulate = Command.make("simulate", flags, (input) =>
  Effect.gen(function*() {
    if (Option.isSome(input.runs) && Option.isSome(input.minutes)) {
      return yield* new UsageError({
        message: "--runs and --minutes are two ways to say when to stop: give one of them"
      })
    }
    const profile = profiles[input.profile]
    const start = yield* Clock.currentTimeMillis
    const first = Option.getOrElse(input.seed, () => seedOf(start))
    const runs = Option.getOrElse(input.runs, () => Option.isSome(input.minutes) ? Infinity : runsDefault)
    const until = Option.match(input.minutes, { onNone: () => Infinity, onSome: (minutes) => start + minutes * 60_000 })
    // Past it, seeds that are next to each other are the same number.
    if (first + (Option.isSome(input.minutes) ? 0 : runs - 1) > Number.MAX_SAFE_INTEGER) {
      return yield* new UsageError({
        message: `${runs} runs from seed ${first} on go past the last seed, ${Number.MAX_SAFE_INTEGER}`
      })
    }
    if (Option.isNone(input.seed)) yield* Console.error(`The first seed is ${first}`)

    const coverage = new Coverage(profile)
    const progress = bar(runs, until - start)
    let begun = 0
    let done: Done = { runs: 0, seconds: 0, virtualHours: 0 }
    // The first of those that fail is the same for any number of threads: all before it are run, too.
    let failed = Infinity
    let drawnAt = start
    yield* Parallel.runAll({
      profile,
      threads: Math.min(runs, Option.getOrElse(input.threads, availableParallelism)),
      next: Effect.map(Clock.currentTimeMillis, (now) => {
        const isOver = failed < Infinity || begun >= runs || first + begun > Number.MAX_SAFE_INTEGER ||
          (begun > 0 && now >= until)
        return isOver ? undefined : first + begun++
      }),
      onRan: ({ isFailed, millis, reached, seed }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          coverage.join(reached)
          const virtualHours = done.virtualHours + millis / 3_600_000
          done = { runs: done.runs + 1, seconds: (now - start) / 1000, virtualHours }
          if (isFailed) failed = Math.min(failed, seed)
          if (now - drawnAt < redrawMillis) return
          drawnAt = now
          progress.draw(done)
        })
    }).pipe(
      Effect.ensuring(Effect.sync(progress.end)),
      Effect.onInterrupt(() => {
        const found = failed === Infinity ? "none failed" : `seed ${failed} fails`
        return Console.error(
          `makima: stopped. Profile ${input.profile}, from seed ${first} on: ${told(done)}; ${found}`
        )
      })
    )

    const failing = { seed: failed, profile }
    const shrunk = failed === Infinity ? undefined : shrink(failing, run(failing))
    yield* input.json
      ? Console.log(JSON.stringify(documentOf(first, input.profile, done, coverage, shrunk)))
      : Console.log(summary(first, input.profile, done, coverage))
    if (shrunk === undefined) return
    const { outcome } = shrunk
    if (!input.json) yield* Console.log(`\n${Story.story(outcome)}\n\n${Story.test(outcome, shrunk.only)}`)
    return yield* new CommandFailed({
      message: `seed ${outcome.seed} of ${input.profile}: invariant ${outcome.violation!.invariant} does not hold`
    })
  })).pipe(Command.withDescription("Run the whole runtime in virtual time, while everything goes wrong that can"))

/** Another one every second, and the date can be read in it. */
const seedOf = (millis: number): number =>
  Number(DateTime.formatIso(DateTime.makeUnsafe(millis)).replaceAll(/\D/g, "").slice(2, 14))

const told = ({ runs, seconds, virtualHours }: Done): string => {
  const rate = runs / Math.max(seconds, 0.001)
  return `${runs} runs, ${rate.toFixed(1)} seeds/s, ${virtualHours.toFixed(1)} virtual hours (${
    (virtualHours / Math.max(seconds, 0.001)).toFixed(1)
  } a second)`
}

const missedMax = 40

const summary = (first: number, profile: string, done: Done, { expected, missed }: Coverage): string => {
  const more = missed.length > missedMax ? ` and ${missed.length - missedMax} more` : ""
  return [
    `Profile ${profile}, from seed ${first} on: ${told(done)}`,
    `Reached ${expected - missed.length} of ${expected} types of events, changes of status, faults and operations`,
    ...(missed.length === 0 ? [] : [`Never reached: ${missed.slice(0, missedMax).join(", ")}${more}`])
  ].join("\n")
}

const documentOf = (
  first: number,
  profile: ProfileName,
  done: Done,
  coverage: Coverage,
  shrunk: ReturnType<typeof shrink> | undefined
) => {
  const violation = shrunk?.outcome.violation
  return {
    profile,
    firstSeed: first,
    ...done,
    reached: Object.fromEntries([...coverage.reached].sort(([a], [b]) => (a < b ? -1 : 1))),
    missed: coverage.missed,
    failure: shrunk === undefined || violation === undefined ? null : {
      seed: shrunk.outcome.seed,
      invariant: violation.invariant,
      says: violation.says,
      expected: violation.expected,
      found: violation.found,
      at: violation.at,
      only: shrunk.only,
      story: Story.story(shrunk.outcome),
      test: Story.test(shrunk.outcome, shrunk.only)
    }
  }
}

/** On a terminal, one line that is written again and again; elsewhere nothing, since the summary has it all. */
const bar = (runs: number, millis: number) => {
  const err = process.stderr
  const isLive = err.isTTY && process.env["TERM"] !== "dumb"
  return {
    draw: (done: Done) => {
      if (!isLive) return
      const part = Number.isFinite(runs) ? done.runs / runs : done.seconds * 1000 / millis
      const filled = Math.round(Math.min(1, part) * barColumns)
      const rest = part > 0 ? `, ${duration(done.seconds * 1000 * (1 / part - 1))} left` : ""
      err.write(`\r${"█".repeat(filled)}${"░".repeat(barColumns - filled)} ${told(done)}${rest}\u001b[K`)
    },
    end: () => {
      if (isLive) err.write("\r\u001b[K")
    }
  }
}
