/**
 * The example's directive (seven steps on several levels, planning and completion) carried out over several lives of a
 * server on one log, by agents and a client that do not care which life it is. What came of it is compared with a run
 * that nothing disturbs.
 */
import { Deferred, Effect, Exit, HashMap, type Layer, Schedule, Scope, Stream } from "effect"
import { firstPlan } from "../../examples/hello/plan.ts"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import type { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import type { DirectiveCommand } from "../../src/actors/DirectiveCommand.ts"
import { taskOf } from "../../src/actors/DirectiveState.ts"
import type { SpawnTask } from "../../src/daemon/Protocol.ts"
import type { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { settled } from "../../src/replay/Watch.ts"
import { directiveId, ownerId, stream } from "../support/directive.ts"
import { checkEvent, checkSettled } from "../support/invariants.ts"
import { makeMachine } from "./machine.ts"
import { type Death, makeMortal } from "./mortalLog.ts"

/** What a life of the server has, on the log that it is given. */
export type Services = DaemonRegistries | Daemons | Directives | TaskOutput

export interface World {
  /** Outlives the lives. */
  readonly log: EventLog["Service"]
  readonly server: (log: EventLog["Service"]) => Layer.Layer<Services>
  /** How long an agent takes over a task, in milliseconds. */
  readonly agentMillis: number
}

interface Life {
  readonly ask: (command: DirectiveCommand, key: string) => Effect.Effect<unknown, { readonly _tag: string }>
}

/** What is the same however often the server is killed. */
export interface Outcome {
  readonly status: string
  readonly prUrl: string | undefined
  readonly steps: ReadonlyArray<readonly [name: string, status: string]>
  /** The tasks that ended, and how, one entry for each end. */
  readonly ends: ReadonlyArray<string>
  /** The tasks whose agents were started, one entry for each start. */
  readonly starts: ReadonlyArray<string>
}

const prUrl = "https://example.invalid/hello/pull/1"

/** Whoever asks for something asks again until there is an answer, with a key, so that it is done once. */
const untilAnswered = (current: () => Deferred.Deferred<Life>, command: DirectiveCommand, key: string) =>
  Effect.suspend(() => Effect.flatMap(Deferred.await(current()), (life) => life.ask(command, key))).pipe(
    Effect.timeout("1 second"),
    Effect.retry({
      while: ({ _tag }) => _tag === "ActorUnavailable" || _tag === "TimeoutError",
      schedule: Schedule.spaced("100 millis")
    })
  )

/** Carries the directive out. The server is killed once for each of the deaths, one life after the other. */
export const carryOut = Effect.fnUntraced(function*(world: World, deaths: ReadonlyArray<Death>) {
  let current = Deferred.makeUnsafe<Life>()
  const ask = (command: DirectiveCommand, key: string) => untilAnswered(() => current, command, key)
  const machine = yield* makeMachine({
    ownerId,
    machineId: "machine",
    maxConcurrentTasks: 2,
    agent: (task) => work(task, world.agentMillis, ask).pipe(Effect.mapError(({ _tag }) => _tag))
  })
  yield* Effect.forkScoped(Effect.gen(function*() {
    yield* ask({
      _tag: "CreateDirective",
      ownerId,
      title: "Greet the world in three languages",
      goal: "hello.mjs greets in English, Greek and Finnish.",
      repositoryUrl: "https://example.invalid/hello.git"
    }, "create")
    yield* ask({ _tag: "StartDirective" }, "start")
  }))

  const live = Effect.fnUntraced(function*(death: Death | undefined) {
    const mortal = makeMortal(world.log, death)
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const life = Effect.gen(function*() {
      const registries = yield* DaemonRegistries
      const directives = yield* Directives
      yield* Effect.ignore(registries.resume(ownerId))
      yield* Effect.ignore(directives.resume(directiveId))
      yield* machine.connect(mortal.isDead)
      yield* Deferred.succeed(current, {
        ask: (command, key) => directives.ask(directiveId, command, { ownerId, commandId: key })
      })
      yield* Effect.orDie(settled(directiveId)).pipe(Effect.provideService(EventLog, world.log))
    }).pipe(Effect.provide(world.server(mortal.log)), Scope.provide(scope))
    yield* Effect.raceFirst(life, mortal.killed)
    current = Deferred.makeUnsafe()
    return mortal.appends()
  })
  const appends: Array<number> = []
  for (const death of deaths) appends.push(yield* Effect.scoped(live(death)))
  appends.push(yield* Effect.scoped(live(undefined)))
  return { appends, outcome: yield* outcomeOf(world.log, machine.starts), doubles: machine.doubles }
}, Effect.scoped)

/** What an agent does to the server, besides taking its time. */
const work = Effect.fnUntraced(function*(
  { plan, taskId, taskName }: SpawnTask,
  millis: number,
  ask: (command: DirectiveCommand, key: string) => Effect.Effect<unknown, { readonly _tag: string }>
) {
  // Steps of one level end at different times, or a crash would always meet all of them at once.
  yield* Effect.sleep(millis * (1 + plan.length % 3))
  if (taskName.startsWith("Plan: ")) yield* ask({ _tag: "AddSteps", steps: firstPlan }, `plan of ${taskId}`)
  if (taskName.startsWith("PR: ")) yield* ask({ _tag: "UpdateDirective", prUrl }, `pull request of ${taskId}`)
})

const eventsOf = (log: EventLog["Service"]) =>
  Effect.orDie(Stream.runCollect(Stream.map(log.read(stream), ({ event }) => event as DirectiveEvent)))

/** Reads from the log what came of it, and holds each event to the invariants on the way. */
const outcomeOf = Effect.fnUntraced(function*(log: EventLog["Service"], starts: ReadonlyArray<string>) {
  let state = Directive.empty(stream)
  const ends: Array<string> = []
  for (const event of yield* eventsOf(log)) {
    const before = state
    state = Directive.evolve(before, event)
    checkEvent(before, event, state)
    if (event._tag === "TaskCompleted" || event._tag === "TaskFailed" || event._tag === "TaskInterrupted") {
      ends.push(`${taskOf(state, event.taskId)!.name} ${event._tag}`)
    }
  }
  checkSettled(state)
  const outcome: Outcome = {
    status: state.status,
    prUrl: state.prUrl,
    steps: HashMap.toValues(state.steps).map(({ name, status }) => [name, status] as const).sort(),
    ends: ends.toSorted(),
    starts: starts.toSorted()
  }
  return outcome
})
