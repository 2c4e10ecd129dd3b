/** `makima rebuild`: makes the read models anew from the log, beside the live ones, and takes readers over at once. */
import { Console, Effect, Layer } from "effect"
import { Command, Flag } from "effect/cli"
import * as PostgresEventLog from "../events/PostgresEventLog.ts"
import { Projections } from "../projections/Projections.ts"
import { type RebuildProgress, summary } from "../projections/Rebuild.ts"
import * as Configuration from "./Configuration.ts"
import { CommandFailed } from "./Failure.ts"

const flags = {
  check: Flag.Boolean("check").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Only compare the live ones with what the log says, and change nothing")
  ),
  json: Configuration.json,
  ...Configuration.storeFlags
}

export const rebuild = Command.make("rebuild", flags, (input) =>
  Effect.gen(function*() {
    const projections = yield* Projections
    const report = yield* (input.check ? projections.check : projections.rebuild)(show)
    yield* Effect.sync(erase)
    yield* Console.log(input.json ? JSON.stringify(report) : summary(report))
    if (input.check && report.differences.length > 0) {
      return yield* new CommandFailed({
        message: "the read models are not what the log says; makima rebuild mends them"
      })
    }
  }).pipe(
    Effect.provide(
      Projections.layer.pipe(
        Layer.provide(PostgresEventLog.layer),
        Layer.provide(Configuration.layerExistingDatabase(input)),
        Layer.provideMerge(Configuration.layerLogs("Warn"))
      )
    )
  )).pipe(Command.withDescription("Make the read models anew from the log, while everything goes on"))

const barWidth = 30

/** A bar on a terminal; elsewhere nobody waits for it. */
const show = ({ eventsPerSecond, position, target }: RebuildProgress) =>
  Effect.sync(() => {
    if (!process.stderr.isTTY) return
    const full = target === 0 ? barWidth : Math.min(barWidth, Math.round(position / target * barWidth))
    const bar = "█".repeat(full) + "░".repeat(barWidth - full)
    process.stderr.write(`\r\u001b[K${bar} ${position} of ${target} events, ${Math.round(eventsPerSecond)} a second`)
  })

const erase = () => {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K")
}
