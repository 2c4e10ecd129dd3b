/**
 * The machinery of a directive: its rules (`Directive.ts`) run by the loop (`internal/loop.ts`), with daemons at hand.
 *
 * The way of one DAG edge is all here: a report comes in, the rules say which tasks are there now, `conclude` gives
 * them daemons, the loop appends all of it at once, and `react` sends the frames.
 */
import { Context, Effect, HashMap, Layer } from "effect"
import { Daemons } from "../daemon/Daemons.ts"
import { spawnTask } from "../daemon/spawnTask.ts"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { DirectiveId, OwnerId, TaskId } from "../events/Ids.ts"
import * as Directive from "./Directive.ts"
import { type DirectiveAnswer, type DirectiveCommand, DirectiveNotFound, type Rejection } from "./DirectiveCommand.ts"
import { currentHandOver, isOpen } from "./DirectiveState.ts"
import type { Behaviour, Self } from "./internal/loop.ts"
import type { ActorUnavailable, Answered } from "./internal/mailbox.ts"
import { Supervisor } from "./SupervisorActor.ts"

/** The bounds that directives go by. */
export const DirectivePolicy = Context.Reference<Directive.Policy>("makima-runtime/actors/DirectivePolicy", {
  defaultValue: () => Directive.defaultPolicy
})

export interface AskOptions {
  /** Whose directive it has to be: anybody else's is not found. */
  readonly ownerId?: OwnerId
  /** The idempotency key: a repeat gets the first answer. */
  readonly commandId?: string
}

export interface KnownTask {
  readonly directiveId: DirectiveId
  readonly open: boolean
}

export class Directives extends Context.Service<Directives, {
  /** Sends a command to a directive and waits for the answer. The directive is started if it is not running. */
  ask(
    directiveId: DirectiveId,
    command: DirectiveCommand,
    options?: AskOptions
  ): Effect.Effect<Answered<DirectiveAnswer>, Rejection | ActorUnavailable>
  /** Sends a command without waiting. A directive that cannot take it will find out when it reads its log. */
  tell(directiveId: DirectiveId, command: DirectiveCommand): Effect.Effect<void>
  /** What this process knows of a task: nothing, unless its directive runs here. */
  task(taskId: TaskId): KnownTask | undefined
  /** Starts the directive from the log, so that it goes on with whatever it was doing. */
  resume(directiveId: DirectiveId): Effect.Effect<void, ActorUnavailable>
  /** Wakes every directive that has something under way; returns how many there were. Nothing should come of it. */
  readonly reconcile: Effect.Effect<number>
}>()("makima-runtime/actors/Directives") {
  static readonly layer = Layer.effect(
    Directives,
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const daemons = yield* Daemons
      const policy = yield* DirectivePolicy
      const owners = new Map<DirectiveId, OwnerId>()
      const tasks = new Map<TaskId, KnownTask>()
      const busy = new Set<DirectiveId>()

      const remember = (state: Directive.State) => {
        if (state.id === undefined) return
        owners.set(state.id, state.ownerId)
        if (state.openTasks > 0 || state.status === "active") busy.add(state.id)
        else busy.delete(state.id)
      }

      const behaviour: DirectiveBehaviour = {
        empty: Directive.empty,
        evolve: Directive.evolve,
        decide: (state, command, now, commandId) => Directive.decide(state, command, { now, policy }, commandId),
        wake: { _tag: "Wake" },
        dueAt: Directive.dueAt,
        conclude: (state, events, now, self) => {
          if (state.id === undefined) return undefined
          releaseEnded(daemons, state, events)
          const assignments = daemons.assign(state.ownerId, state.id, wantedBy(state, now), self.nudge)
          return assignments.length === 0 ? undefined : { _tag: "HandOver", assignments }
        },
        recovered: (state, self) =>
          Effect.sync(() => {
            if (state.id === undefined) return
            remember(state)
            // What this process thought of the directive before is void: the log says what it holds.
            daemons.forget(state.ownerId, state.id)
            for (const task of HashMap.values(state.tasks)) {
              tasks.set(task.id, { directiveId: state.id, open: isOpen(task) })
              const current = isOpen(task) ? currentHandOver(task) : undefined
              if (current === undefined) continue
              const { daemonId, handOver } = current
              daemons.occupy(state.ownerId, daemonId, {
                taskId: task.id,
                directiveId: state.id,
                handOver,
                interrupting: task.interrupting
              })
            }
            self.nudge()
          }),
        react: Effect.fnUntraced(function*(events, state, self) {
          remember(state)
          for (const event of events) yield* carryOut(daemons, tasks, state, event, self)
        })
      }

      const actor = (directiveId: DirectiveId) => supervisor.actor(Directive.streamOf(directiveId), behaviour)

      const ask = Effect.fn("Directives.ask")(
        function*(directiveId: DirectiveId, command: DirectiveCommand, options?: AskOptions) {
          const ref = yield* actor(directiveId)
          if (options?.ownerId !== undefined && command._tag !== "CreateDirective") {
            // The owner is known once the actor has read its log, which answering anything implies.
            if (!owners.has(directiveId)) yield* ref.ask({ _tag: "Wake" })
            if (owners.get(directiveId) !== options.ownerId) return yield* new DirectiveNotFound({ directiveId })
          }
          return yield* ref.ask(command, options?.commandId)
        },
        // An id that names nothing must not leave an actor behind.
        (answer, directiveId) =>
          Effect.tapError(answer, (error) =>
            error._tag === "DirectiveNotFound" && !owners.has(directiveId)
              ? supervisor.stop(Directive.streamOf(directiveId))
              : Effect.void)
      )

      return Directives.of({
        ask,
        tell: (directiveId, command) =>
          actor(directiveId).pipe(
            Effect.flatMap((ref) => ref.tell(command)),
            Effect.catch((error) => Effect.logWarning(`${command._tag} was not delivered`, error))
          ),
        task: (taskId) => tasks.get(taskId),
        resume: (directiveId) => Effect.asVoid(actor(directiveId)),
        reconcile: Effect.suspend(() =>
          Effect.forEach(
            [...busy],
            (directiveId) =>
              Effect.flatMap(actor(directiveId), (ref) => ref.tell({ _tag: "Wake" })).pipe(
                // A parked directive is in the log of the supervisor already.
                Effect.catchTag("ActorUnavailable", (error) => Effect.logDebug(error.message))
              ),
            { discard: true }
          ).pipe(Effect.as(busy.size))
        )
      })
    })
  )
}

type DirectiveBehaviour = Behaviour<Directive.State, DirectiveCommand, DirectiveEvent, DirectiveAnswer, Rejection>

function* wantedBy(state: Directive.State, now: number) {
  for (const task of Directive.waitingTasks(state)) {
    yield {
      taskId: task.id,
      handOver: task.handOvers.length + 1,
      excluded: task.exclusions.filter(({ until }) => until > now).map(({ daemonId }) => daemonId)
    }
  }
}

/** The slots of tasks that end in this batch are free for what the same batch hands over. */
const releaseEnded = (daemons: Daemons["Service"], state: Directive.State, events: ReadonlyArray<DirectiveEvent>) => {
  for (const event of events) {
    switch (event._tag) {
      case "TaskCompleted":
      case "TaskFailed":
      case "TaskInterrupted":
        for (const { daemonId } of HashMap.getUnsafe(state.tasks, event.taskId).handOvers) {
          daemons.release(state.ownerId, daemonId, event.taskId)
        }
        break
      case "HandOverFailed":
        daemons.release(state.ownerId, event.daemonId, event.taskId)
        break
      default:
    }
  }
}

/** What an event means for the world outside the log. */
const carryOut = Effect.fnUntraced(function*(
  daemons: Daemons["Service"],
  tasks: Map<TaskId, KnownTask>,
  state: Directive.State,
  event: DirectiveEvent,
  self: Self<DirectiveCommand>
) {
  switch (event._tag) {
    case "TaskCreated":
      tasks.set(event.taskId, { directiveId: state.id!, open: true })
      return
    case "TaskHandedOver": {
      const task = HashMap.getUnsafe(state.tasks, event.taskId)
      if (yield* daemons.send(state.ownerId, event.daemonId, spawnTask(state.id!, task, event.handOver))) return
      const reason = `daemon ${event.daemonId} could not be reached`
      return yield* self.tell({ _tag: "FailHandOver", taskId: event.taskId, handOver: event.handOver, reason })
    }
    case "InterruptRequested": {
      const current = currentHandOver(HashMap.getUnsafe(state.tasks, event.taskId))
      if (current !== undefined) yield* daemons.interrupt(state.ownerId, current.daemonId, event.taskId)
      return
    }
    case "TaskFailed":
    case "TaskInterrupted":
      tasks.set(event.taskId, { directiveId: state.id!, open: false })
      return
    case "TaskCompleted": {
      tasks.set(event.taskId, { directiveId: state.id!, open: false })
      // A late success of an earlier hand-over: the daemon of the newer one works for nothing.
      const newer = currentHandOver(HashMap.getUnsafe(state.tasks, event.taskId))
      if (newer === undefined || newer.handOver === event.handOver) return
      yield* daemons.send(state.ownerId, newer.daemonId, {
        type: "interruptTask",
        taskId: event.taskId,
        graceful: false
      })
      return
    }
    default:
  }
})
