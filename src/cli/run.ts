/** `makima run <directive.json>`: server, daemon and client in one process, from goal to branch, with live progress. */
import { Cause, Clock, Console, Effect, Exit, Fiber, FileSystem, Layer, Option, Path, Predicate, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { SecureRandom } from "effect/crypto"
import { hostname } from "node:os"
import { Directives } from "../actors/DirectiveActor.ts"
import * as DaemonEndpoint from "../daemon/DaemonEndpoint.ts"
import * as LocalDaemon from "../daemon/LocalDaemon.ts"
import * as SourceRepository from "../daemon/SourceRepository.ts"
import { OwnerId } from "../events/Ids.ts"
import { layerRuntime, newDirectiveId, runOwnerPrefix } from "../Makima.ts"
import * as LogLine from "../replay/LogLine.ts"
import { isSettled, watch } from "../replay/Watch.ts"
import { ApiKeys } from "../server/ApiKeys.ts"
import * as HttpServer from "../server/HttpServer.ts"
import * as Configuration from "./Configuration.ts"
import * as DirectiveFile from "./DirectiveFile.ts"
import { CommandFailed, UsageError } from "./Failure.ts"
import { invocation, makimaCommand } from "./invocation.ts"
import { layerProgress, Progress } from "./Progress.ts"
import { problemOf, summaryOf, told } from "./RunSummary.ts"

const flags = {
  file: Argument.String("directive.json").pipe(
    Argument.withDescription(
      "A file with title and goal, and if need be repositoryUrl, baseBranch, memoryEnabled, agent, steps"
    )
  ),
  agent: Flag.String("agent").pipe(
    Flag.optional,
    Flag.withDescription("The shell command of an agent, which gets its prompt on standard input, such as 'claude -p'")
  ),
  maxTasks: Flag.Int("max-tasks").pipe(
    Flag.filter((tasks) => tasks > 0, (tasks) => `${tasks} is not at least 1`),
    Flag.withDefault(4),
    Flag.withDescription("How many agents may run at once; 4 if unset")
  ),
  json: Configuration.json,
  ...Configuration.storeFlags,
  ...Configuration.policyFlags
}

export const run = Command.make(
  "run",
  flags,
  Effect.fnUntraced(function*(input) {
    const { directive, directory } = yield* DirectiveFile.read(input.file)
    const agent = Option.getOrElse(input.agent, () => directive.agent)
    if (agent === undefined || agent.trim() === "") {
      return yield* new UsageError({ message: `${input.file}: no agent: set "agent", or give --agent '<command>'` })
    }
    const baseBranch = directive.baseBranch ?? "main"
    const repository = directive.repositoryUrl === undefined
      ? undefined
      : yield* SourceRepository.locate(directive.repositoryUrl, baseBranch, directory).pipe(
        Effect.mapError((error) => new UsageError({ message: `${input.file}: ${error.message}` }))
      )
    const ownerId = OwnerId.make(`${runOwnerPrefix}${yield* randomId}`)
    const server = HttpServer.layer({ host: "127.0.0.1", port: 0 }, DaemonEndpoint.layer).pipe(
      Layer.provideMerge(
        layerRuntime({ node: ownerId, reconcile: Configuration.reconcileOf(input), shared: false })
      ),
      Layer.provide(Configuration.layerDatabase(input)),
      Layer.provideMerge(Configuration.layerPolicies(input))
    )
    const startedAt = yield* Clock.currentTimeMillis
    const last = yield* carryOut({ ...input, agent, directive, directory, ownerId, repository }).pipe(
      Effect.scoped,
      Effect.provide(server.pipe(Layer.provideMerge(layerProgress)))
    )
    const summary = summaryOf(last)
    const problem = problemOf(last.state)
    if (input.json) yield* Console.log(JSON.stringify(summary))
    else {
      yield* Console.log(told(last, (yield* Clock.currentTimeMillis) - startedAt))
      const store = input.dataDir === ".makima" ? "" : ` --data-dir ${JSON.stringify(input.dataDir)}`
      const first = problem === undefined && summary.branch !== null && repository !== undefined
        ? repository.show(summary.branch)
        : `${invocation} why ${summary.directiveId}${store}`
      yield* Console.log(`\nTry next:\n  ${first}\n  ${invocation} log ${summary.directiveId}${store}`)
    }
    if (problem !== undefined) return yield* new CommandFailed({ message: problem })
  }, Effect.onInterrupt(() => Console.error("makima: stopped")))
).pipe(
  Command.withDescription("Run a directive from goal to branch on this machine, with a server and a daemon of its own")
)

const randomId = Effect.flatMap(SecureRandom.SecureRandom, (random) => random.uuidV4())

interface Run {
  readonly agent: string
  readonly maxTasks: number
  readonly dataDir: string
  readonly json: boolean
  readonly directive: DirectiveFile.DirectiveFile
  readonly directory: string
  readonly ownerId: OwnerId
  readonly repository: SourceRepository.Located | undefined
}

/** Starts the daemon and the directive, and follows the directive until nothing more happens by itself. */
const carryOut = Effect.fnUntraced(
  function*({ directive, json, ownerId, repository, ...options }: Run) {
    const directives = yield* Directives
    const progress = yield* Progress
    // Before the key: a run that is killed leaves no key without a folder that says so.
    const workDir = yield* temporaryWorkDir(options.dataDir, ownerId)
    const apiKey = yield* temporaryKey(ownerId)
    const daemon = yield* LocalDaemon.run({
      apiUrl: yield* HttpServer.url,
      apiKey,
      agent: options.agent,
      maxTasks: options.maxTasks,
      workDir,
      machineId: ownerId,
      env: { MAKIMA_DIRECTIVE_DIR: options.directory },
      makima: makimaCommand
    }).pipe(Effect.forkScoped)
    const directiveId = yield* newDirectiveId
    const { baseBranch, goal, memoryEnabled, steps, title } = directive
    yield* directives.ask(directiveId, {
      _tag: "CreateDirective",
      ownerId,
      title,
      goal,
      ...(baseBranch === undefined ? {} : { baseBranch }),
      ...(memoryEnabled === undefined ? {} : { memoryEnabled }),
      ...(repository === undefined ? {} : { repositoryUrl: repository.repositoryUrl })
    })
    if (steps !== undefined) yield* directives.ask(directiveId, { _tag: "AddSteps", steps })
    yield* directives.ask(directiveId, { _tag: "StartDirective" })
    yield* Effect.addFinalizer((exit) =>
      // Whoever looks at the log later should see that nobody is at it any more.
      Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
        ? directives.ask(directiveId, { _tag: "PauseDirective", reason: "makima run was stopped" }).pipe(
          Effect.timeout("2 seconds"),
          Effect.catch((error) => Effect.logWarning("The stop was not recorded", error))
        )
        : Effect.void
    )
    yield* progress.begin(hostname())
    const end = watch(directiveId).pipe(
      Stream.tap(({ recorded, state }) =>
        Effect.andThen(
          json ? Console.log(JSON.stringify(LogLine.json(recorded))) : Effect.void,
          progress.show(recorded, state)
        )
      ),
      Stream.takeUntil(({ state }) => isSettled(state)),
      Stream.runLast,
      Effect.map(Option.getOrThrow)
    )
    return yield* Effect.raceFirst(end, Fiber.join(daemon))
  }
)

/** A key for the daemon and its agents, which ends with the run. */
const temporaryKey = Effect.fnUntraced(function*(ownerId: OwnerId) {
  const keys = yield* ApiKeys
  const { key } = yield* Effect.acquireRelease(
    keys.create(ownerId, "makima run"),
    ({ id }) => keys.revoke(id).pipe(Effect.catch((error) => Effect.logWarning("A key was not revoked", error)))
  )
  return key
})

/** The keys of a run that was killed are good for nothing any more. */
const revokeAll = Effect.fnUntraced(function*(owner: string) {
  if (!owner.startsWith(runOwnerPrefix)) return
  const keys = yield* ApiKeys
  for (const { id, revokedAt } of yield* keys.list(OwnerId.make(owner))) {
    if (revokedAt === null) yield* keys.revoke(id)
  }
})

/**
 * A folder of the run's own, so that runs at the same time do not meet. It goes with the run. Its name says whose it is, so
 * that the next run can take away what one leaves behind that was killed.
 */
const temporaryWorkDir = Effect.fnUntraced(function*(dataDir: string, ownerId: OwnerId) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const runs = path.resolve(dataDir, "runs")
  const remove = (name: string) => Effect.ignore(fs.remove(path.join(runs, name), { recursive: true, force: true }))
  const others = yield* Effect.orElseSucceed(fs.readDirectory(runs), () => [])
  for (const left of others.filter((name) => !isAlive(Number.parseInt(name, 10)))) {
    // The folder goes last: while it is there, the next run knows that there is something left of this one.
    yield* Effect.andThen(revokeAll(left.replace(/^\d+-/, "")), remove(left)).pipe(
      Effect.catch((error) => Effect.logWarning("The keys of a run that was killed were not revoked", error))
    )
  }
  const name = `${process.pid}-${ownerId}`
  return yield* Effect.acquireRelease(
    Effect.as(fs.makeDirectory(path.join(runs, name), { recursive: true }), path.join(runs, name)),
    () => remove(name)
  )
})

/** Whether there is such a process. One that may not be signalled is there as well. */
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (cause) {
    return Predicate.hasProperty(cause, "code") && cause.code === "EPERM"
  }
}
