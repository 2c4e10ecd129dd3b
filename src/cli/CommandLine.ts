/** The whole command line as one program: which commands there are, how they complain, and what status they end with. */
import { NodeServices } from "@effect/platform-node"
import { Cause, Config, Console, Effect, Exit, Layer, Predicate, Runtime } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import { SecureRandom } from "effect/crypto"
import { daemon } from "./daemon.ts"
import { daemons } from "./daemons.ts"
import { directive } from "./directive.ts"
import { keys } from "./keys.ts"
import { log } from "./log.ts"
import { clean } from "./OneLine.ts"
import { rebuild } from "./rebuild.ts"
import { replay } from "./replay.ts"
import { run as runDirective } from "./run.ts"
import { serve } from "./serve.ts"
import { simulate } from "./simulate.ts"
import { version } from "./version.ts"
import { why } from "./why.ts"

const makima = Command.make("makima").pipe(
  Command.withDescription("Takes directives for git repositories from goal to pull request"),
  Command.withSubcommands([runDirective, serve, daemon, directive, why, daemons, log, replay, simulate, rebuild, keys])
)

/** The command line without the name of the program. What it says about its failures is one line each. */
export const run = (args: ReadonlyArray<string>) =>
  Command.runWith(makima, { version })(args).pipe(
    Effect.tapError((error) => CliError.isCliError(error) ? Effect.void : Console.error(`makima: ${sentence(error)}`)),
    Effect.tapDefect((defect) => Console.error("makima: a mistake of its own:", defect)),
    Effect.provide(layer)
  )

/**
 * 0 when it went well, 1 when the thing failed, 2 when it was asked for wrongly, 130 when it was stopped; unless a command
 * that is meant to be stopped has said what that is.
 */
export const exitStatusOf = (exit: Exit.Exit<unknown, unknown>, onExit: (status: number) => void): void => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  if (CliError.isCliError(error)) return onExit(2)
  const isStopped = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
  if (isStopped && process.exitCode !== undefined) return onExit(Number(process.exitCode))
  Runtime.defaultTeardown(exit, onExit)
}

/** An error in one line. Those that others made may have nothing to say of their own, and what they wrap has. */
const sentence = (error: unknown): string => {
  const parts = messagesOf(error).map(clean).filter((part) => part !== "")
  return parts.length === 0
    ? clean(String(error))
    : parts.filter((part, index) => !parts.slice(0, index).some((before) => before.includes(part))).join(": ")
}

const messagesOf = (error: unknown): ReadonlyArray<string> => {
  if (!(error instanceof Error)) return []
  const reason = Predicate.hasProperty(error, "reason") ? error.reason : undefined
  return [error.message, ...messagesOf(reason instanceof Error ? reason : error.cause)]
}

/** A command line that is wrong gets one line that says so, not a page of help. */
const presenter: CliOutput.Presenter = {
  present: Effect.fnUntraced(function*(event) {
    if (event._tag !== "InvalidInvocation") return yield* CliOutput.defaultPresenter.present(event)
    const said = yield* Effect.forEach(event.errors, complaint)
    const line = said.join("; ").replaceAll(/\s*\n\s*/g, " ").trim()
    yield* Console.error(`makima: ${line} (see ${event.commandPath.join(" ")} --help)`)
  })
}

/** Names what holds the wrong value: the flag, the argument or the variable. */
const complaint = Effect.fnUntraced(function*(error: CliError.NonShowHelpErrors) {
  if (error._tag !== "InvalidValue") return error.message.replace(/\s*Did you mean this\?\s*/, ". Did you mean ")
  const [, problem, variable] = /^SchemaError\(([^]*?)\s+at \["(\w+)"\]\)$/.exec(error.expected) ?? []
  if (problem !== undefined && variable !== undefined) {
    const value = yield* Effect.orElseSucceed(Config.String(variable), () => "")
    return `${variable}: ${problem}, not ${JSON.stringify(value)}`
  }
  const name = error.kind === "flag" ? `--${error.option}` : `<${error.option}>`
  const expected = error.expected.replace(/^Schema validation failed: /, "").replace(/^(?="\w+" \|)/, "Expected ")
  // With nothing after the flag there is only its type to tell.
  if (error.value === "" && /^\w+( \| \w+)*$/.test(expected)) return `${name}: it needs a value, ${expected}`
  return expected.startsWith("Expected")
    ? `${name}: ${expected}, not ${JSON.stringify(error.value)}`
    : `${name}: ${expected}`
})

const layer = Layer.mergeAll(
  NodeServices.layer,
  SecureRandom.layerWebCrypto,
  CliOutput.layerPresenter(presenter),
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel] })
)
