/** `makima daemon`: does tasks of a server on this machine, until it is stopped. */
import { Config, Effect, FileSystem, Option, Path } from "effect"
import { Command, Flag } from "effect/cli"
import { SecureRandom } from "effect/crypto"
import { hostname } from "node:os"
import * as LocalDaemon from "../daemon/LocalDaemon.ts"
import { makeFolders } from "../postgres/Folders.ts"
import { heartbeatFlag, layerHeartbeat, layerLogs, storeFlags } from "./Configuration.ts"
import { CommandFailed, UsageError } from "./Failure.ts"
import { makimaCommand } from "./invocation.ts"
import { apiUrlsFlag, remoteFlags } from "./Remote.ts"

const flags = {
  agent: Flag.String("agent").pipe(
    Flag.withFallbackConfig(Config.NonEmptyString("MAKIMA_AGENT")),
    Flag.withDescription("The shell command of an agent, which gets its prompt on standard input (MAKIMA_AGENT)")
  ),
  maxTasks: Flag.Int("max-tasks").pipe(
    Flag.filter((tasks) => tasks >= 0, (tasks) => `${tasks} is negative`),
    Flag.withDefault(4),
    Flag.withDescription("How many agents may run at once; 4 if unset")
  ),
  heartbeat: heartbeatFlag,
  dataDir: storeFlags.dataDir,
  ...remoteFlags,
  apiUrl: apiUrlsFlag
}

export const daemon = Command.make(
  "daemon",
  flags,
  Effect.fnUntraced(function*(input) {
    const path = yield* Path.Path
    if (input.agent.trim() === "") return yield* new UsageError({ message: "--agent is empty" })
    const apiKey = yield* Effect.fromOption(input.apiKey).pipe(
      Effect.mapError(() => new UsageError({ message: "no API key: give --api-key, or set MAKIMA_API_KEY" }))
    )
    const workDir = path.resolve(input.dataDir, "daemon")
    yield* LocalDaemon.run({
      apiUrl: input.apiUrl,
      apiKey,
      agent: input.agent,
      maxTasks: input.maxTasks,
      workDir,
      machineId: yield* machineIdIn(workDir),
      hostname: hostname(),
      makima: makimaCommand
    }).pipe(Effect.provide([layerLogs("Info"), layerHeartbeat(input)]))
  })
).pipe(Command.withDescription("Do tasks on this machine with an agent command"))

/** The machine's id is made once and kept beside its work, so that it is the same daemon after a restart. */
const machineIdIn = Effect.fnUntraced(function*(workDir: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(workDir, "machine-id")
  const known = yield* Effect.option(fs.readFileString(file))
  if (Option.isSome(known) && known.value.trim() !== "") return known.value.trim()
  const id = yield* Effect.flatMap(SecureRandom.SecureRandom, (random) => random.uuidV4())
  yield* Effect.try({
    try: () => makeFolders(workDir),
    catch: (cause) => new CommandFailed({ message: `${workDir} cannot be made: ${problemOf(cause)}` })
  })
  yield* fs.writeFileString(file, `${id}\n`)
  return id
})

const problemOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)
