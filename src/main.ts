#!/usr/bin/env node
/** The `makima` command: reads the command line, runs the command, and turns its end into an exit status. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Console, Effect, Exit, Layer, Runtime } from "effect"
import { CliError, CliOutput, Command } from "effect/cli"
import { SecureRandom } from "effect/crypto"
import { daemon } from "./cli/daemon.ts"
import { daemons } from "./cli/daemons.ts"
import { directive } from "./cli/directive.ts"
import { keys } from "./cli/keys.ts"
import { log } from "./cli/log.ts"
import { replay } from "./cli/replay.ts"
import { run } from "./cli/run.ts"
import { serve } from "./cli/serve.ts"
import { version } from "./cli/version.ts"
import { why } from "./cli/why.ts"

/** A command line that is wrong gets one line that says so, not a page of help. */
const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const said = event.errors.map((error) => error.message.replaceAll(/\s*\n\s*/g, " ").trim())
    return Console.error(`makima: ${said.join("; ")} (see ${event.commandPath.join(" ")} --help)`)
  }
}

const makima = Command.make("makima").pipe(
  Command.withDescription("Takes directives for git repositories from goal to pull request"),
  Command.withSubcommands([run, serve, daemon, directive, why, daemons, log, replay, keys])
)

const exitStatusOf = (exit: Exit.Exit<unknown, unknown>, onExit: (status: number) => void) => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  if (CliError.isCliError(error)) return onExit(2)
  Runtime.defaultTeardown(exit, onExit)
}

Command.run(makima, { version }).pipe(
  Effect.tapError((error) => CliError.isCliError(error) ? Effect.void : Console.error(`makima: ${error.message}`)),
  Effect.tapDefect((defect) => Console.error("makima: a mistake of its own:", defect)),
  Effect.provide(
    Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto, CliOutput.layerPresenter(presenter))
  ),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: exitStatusOf })
)
