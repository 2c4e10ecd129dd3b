/**
 * The machinery of a directive: its rules (`Directive.ts`) run by the loop (`internal/loop.ts`), with daemons at hand.
 *
 * The way of one DAG edge is all here: a report comes in, the rules say which tasks are there now, `conclude` gives
 * them daemons, the loop appends all of it at once, and `react` sends the frames.
 */
import { Context, Effect, HashMap, Layer, Option, Stream } from "effect"
import type { DirectiveEvent } from "../events/DirectiveEvent.ts"
import { EventLog, type EventLogError, type StoredEvent } from "../events/EventLog.ts"
import { DirectiveId, type OwnerId, type TaskId } from "../events/Ids.ts"
import type { UnreadableEvent } from "../events/Unreadable.ts"
import { Daemons } from "./Daemons.ts"
import * as Directive from "./Directive.ts"
import {
  type DirectiveAnswer,
  type DirectiveCommand,
  DirectiveExists,
  DirectiveNotFound,
  type Rejection
} from "./DirectiveCommand.ts"
import { codec } from "./DirectiveSnapshot.ts"
import { isOpen } from "./DirectiveState.ts"
import { answeredBy, mayHaveForgotten, recall } from "./internal/answers.ts"
import type { Behaviour } from "./internal/loop.ts"
import { type About, ActorUnavailable, type Answered } from "./internal/mailbox.ts"
import { abandonedOf, carryOut, heldBy, leavePlaces, placesLeft, wantedBy } from "./internal/places.ts"
import { reasonOf } from "./internal/reason.ts"
import { Leases, requireHere } from "./Leases.ts"
import type { Parked } from "./Supervisor.ts"
import { Supervisor } from "./SupervisorActor.ts"

/** The bounds that directives go by. */
export const DirectivePolicy = Context.Reference<Directive.Policy>("makima-runtime/actors/DirectivePolicy", {
  defaultValue: () => Directive.defaultPolicy
})

/** `commandId` is the idempotency key: a repeat of it gets the first answer. */
export interface AskOptions extends About {
  /** Whose directive it has to be: anybody else's is not found. */
  readonly ownerId?: OwnerId
}

export interface KnownTask {
  readonly ownerId: OwnerId
  readonly directiveId: DirectiveId
  readonly open: boolean
}

export class Directives extends Context.Service<Directives, {
  /**
   * Sends a command to a directive and waits for the answer. The directive is started if it is not running, unless it is
   * parked: then `ResumeDirective` lets it run again, and everything else is refused with the reason.
   */
  ask(
    directiveId: DirectiveId,
    command: DirectiveCommand,
    options?: AskOptions
  ): Effect.Effect<Answered<DirectiveAnswer>, Rejection | ActorUnavailable>
  /** Sends a command without waiting for what comes of it. It may be lost, so whoever sends it has to look again. */
  tell(directiveId: DirectiveId, command: DirectiveCommand): Effect.Effect<void>
  /** What this process knows of a task: nothing, unless its directive runs here. */
  task(taskId: TaskId): KnownTask | undefined
  /** Waits until the directive goes on from the log with whatever it was doing, and its daemons are taken into account. */
  resume(directiveId: DirectiveId): Effect.Effect<void, ActorUnavailable>
  /** Since when the actor of a directive is parked, and why, if it is. */
  parked(directiveId: DirectiveId): Effect.Effect<Option.Option<Parked>>
  /** Waits until the actor of a directive is not parked any more, if it is. It asks nothing meanwhile. */
  awaitResumed(directiveId: DirectiveId): Effect.Effect<void>
  /** Wakes every directive that has something under way; returns how many there were. Nothing should come of it. */
  readonly reconcile: Effect.Effect<number>
}>()("makima-runtime/actors/Directives") {
  static readonly layer = Layer.effect(
    Directives,
    Effect.gen(function*() {
      const log = yield* EventLog
      const supervisor = yield* Supervisor
      const daemons = yield* Daemons
      const policy = yield* DirectivePolicy
      const leases = yield* Leases
      // What this process knows of the directives that ran in it, some 100 bytes for each and for each of their tasks.
      const owners = new Map<DirectiveId, OwnerId>()
      const tasks = new Map<TaskId, KnownTask>()
      const busy = new Set<DirectiveId>()
      /** By stream, whose a directive is to be while its creation is not in the log, and may never be. */
      const beginning = new Map<string, { readonly directiveId: DirectiveId; readonly ownerId: OwnerId }>()

      const remember = (state: Directive.State) => {
        if (state.id === undefined) return
        owners.set(state.id, state.ownerId)
        if (isUnderWay(state)) busy.add(state.id)
        else busy.delete(state.id)
      }

      const behaviour: DirectiveBehaviour = {
        empty: Directive.empty,
        evolve: Directive.evolve,
        decide: (state, command, now, commandId) => Directive.decide(state, command, { now, policy }, commandId),
        answers: {
          mayHaveForgotten,
          recall: (answered, command) => recall(answeredBy(answered as CommandAnswered), command)
        },
        wake: { _tag: "Wake" },
        dueAt: Directive.dueAt,
        conclude: (state, events, now, self) => {
          if (state.id === undefined) return undefined
          if (events.some(({ _tag }) => _tag === "DirectiveCreated")) {
            beginning.set(state.stream, { directiveId: state.id, ownerId: state.ownerId })
          }
          const ending = events.flatMap((event) => placesLeft(state, event))
          const assignments = daemons.assign(state.ownerId, state.id, wantedBy(state, now), self.nudge, ending)
          return assignments.length === 0 ? undefined : { _tag: "HandOver", assignments }
        },
        recovered: (state) => {
          const begun = beginning.get(state.stream)
          beginning.delete(state.stream)
          if (state.id === undefined) {
            // Nothing of it is in the log: it holds no slots either.
            if (begun !== undefined) daemons.restore(begun.ownerId, begun.directiveId, [])
            return []
          }
          remember(state)
          for (const task of HashMap.values(state.tasks)) {
            tasks.set(task.id, { ownerId: state.ownerId, directiveId: state.id, open: isOpen(task) })
          }
          // What this process thought of the directive before is void: the log says what it holds.
          daemons.restore(state.ownerId, state.id, heldBy(state))
          return abandonedOf(daemons, state.ownerId, state.id)
        },
        react: Effect.fnUntraced(function*(events, state, self) {
          remember(state)
          beginning.delete(state.stream)
          // Places that are free now are free for everybody, before anything that can wait.
          if (state.id !== undefined) leavePlaces(daemons, state, events)
          const { ownerId } = state
          const know = (taskId: TaskId, open: boolean) =>
            void tasks.set(taskId, { ownerId, directiveId: state.id!, open })
          for (const event of events) yield* carryOut(daemons, know, state, event, self)
        }),
        ended: (state) => {
          if (state.id !== undefined) daemons.withdraw(state.ownerId, state.id)
        },
        snapshots: codec,
        isIdle: (state) => !isUnderWay(state),
        passivated: (state) => {
          if (state.id !== undefined) owners.delete(state.id)
          for (const taskId of HashMap.keys(state.tasks)) tasks.delete(taskId)
        }
      }

      const started = (directiveId: DirectiveId) => supervisor.actor(Directive.streamOf(directiveId), behaviour)

      /** The same, of a directive whose owner is here. */
      const actor = (directiveId: DirectiveId) =>
        leases.fence === undefined ? started(directiveId) : Effect.andThen(here(directiveId), started(directiveId))

      /** Goes on for a directive whose owner is here. A new one has nobody yet. */
      const here = Effect.fnUntraced(function*(directiveId: DirectiveId) {
        const ownerId = yield* ownerOf(directiveId)
        if (ownerId !== undefined) yield* requireHere(leases, ownerId)
      })

      /** Whether there is such a directive: an id that names nothing starts no actor, and leaves nothing in the log. */
      const exists = (directiveId: DirectiveId) =>
        owners.has(directiveId) ? Effect.succeed(true) : log.streamHead(Directive.streamOf(directiveId)).pipe(
          Effect.map(({ version }) => version > 0),
          Effect.catch(cannotLook(directiveId))
        )

      /** Whose directive it is, also while it is parked: its first event says so. */
      const ownerOf = (directiveId: DirectiveId) =>
        owners.has(directiveId)
          ? Effect.succeed(owners.get(directiveId))
          : log.read(Directive.streamOf(directiveId), { limit: 1 }).pipe(
            Stream.runHead,
            Effect.map((first) => Option.getOrUndefined(Option.flatMap(first, ({ event }) => ownerIn(event)))),
            Effect.catch(cannotLook(directiveId))
          )

      /** Goes on if there is such a directive, and if its actor may be here. */
      const admit = Effect.fnUntraced(function*(directiveId: DirectiveId, asker: OwnerId | undefined) {
        if (leases.fence === undefined) {
          return (yield* exists(directiveId)) ? undefined : yield* new DirectiveNotFound({ directiveId })
        }
        const ownerId = yield* ownerOf(directiveId)
        // Before anything is said of where it is: another owner's is not there, wherever it is.
        if (ownerId === undefined || (asker !== undefined && asker !== ownerId)) {
          return yield* new DirectiveNotFound({ directiveId })
        }
        yield* requireHere(leases, ownerId)
      })

      /** Goes on if the directive may be made here: one of another owner would be taken from the process that has it. */
      const admitNew = Effect.fnUntraced(function*(directiveId: DirectiveId, ownerId: OwnerId) {
        yield* requireHere(leases, ownerId)
        if (leases.fence === undefined) return
        const known = yield* ownerOf(directiveId)
        if (known !== undefined && known !== ownerId) return yield* new DirectiveExists({ directiveId })
      })

      /** The actor of a parked directive, if the command is to resume it. */
      const unparked = Effect.fnUntraced(function*(
        directiveId: DirectiveId,
        command: DirectiveCommand,
        options: AskOptions | undefined,
        refusal: ActorUnavailable
      ) {
        if (options?.ownerId !== undefined && (yield* ownerOf(directiveId)) !== options.ownerId) {
          return yield* new DirectiveNotFound({ directiveId })
        }
        if (command._tag !== "ResumeDirective") return yield* refusal
        yield* supervisor.resume(Directive.streamOf(directiveId), options)
        return yield* actor(directiveId)
      })

      const ask = Effect.fn("Directives.ask")(
        function*(directiveId: DirectiveId, command: DirectiveCommand, options?: AskOptions) {
          if (command._tag === "CreateDirective") yield* admitNew(directiveId, command.ownerId)
          else yield* admit(directiveId, options?.ownerId)
          let wasParked = false
          const ref = yield* started(directiveId).pipe(Effect.catch((refusal) => {
            wasParked = refusal.parked !== undefined
            return wasParked ? unparked(directiveId, command, options, refusal) : Effect.fail(refusal)
          }))
          if (options?.ownerId !== undefined && command._tag !== "CreateDirective") {
            // The owner is known once the actor has read its log, which answering anything implies.
            if (!owners.has(directiveId)) yield* ref.ask({ _tag: "Wake" })
            if (owners.get(directiveId) !== options.ownerId) return yield* new DirectiveNotFound({ directiveId })
          }
          if (!wasParked) return yield* ref.ask(command, options)
          const { answer, position } = yield* ref.ask(command, options).pipe(
            // It is resumed, whether or not there was more to resume than its actor.
            Effect.catchTag("DirectiveInState", () => ref.ask({ _tag: "Wake" }))
          )
          return { answer: { ...answer, note: "its actor was parked and runs again" }, position }
        }
      )

      // Nobody else would think of those that have nothing under way.
      yield* Effect.forkScoped(
        supervisor.restartScheduled(
          Directive.streamOf(""),
          (address) => actor(DirectiveId.make(address.slice(Directive.streamOf("").length)))
        )
      )

      return Directives.of({
        ask,
        tell: (directiveId, command) =>
          actor(directiveId).pipe(
            Effect.flatMap((ref) => ref.tell(command)),
            Effect.catch((error) => Effect.logWarning(`${command._tag} was not delivered`, error))
          ),
        task: (taskId) => tasks.get(taskId),
        resume: (directiveId) =>
          Effect.suspend(() => {
            // Whatever keeps it from coming up now, it is tried again at every reconciliation.
            busy.add(directiveId)
            return Effect.asVoid(ask(directiveId, { _tag: "Wake" }))
          }).pipe(Effect.catch((error) => {
            if (error._tag === "ActorUnavailable") return Effect.fail(error)
            if (error._tag === "DirectiveNotFound") busy.delete(directiveId)
            return Effect.void
          })),
        parked: (directiveId) => supervisor.parked(Directive.streamOf(directiveId)),
        awaitResumed: (directiveId) => supervisor.awaitResumed(Directive.streamOf(directiveId)),
        reconcile: Effect.suspend(() =>
          Effect.forEach(
            // Those that are elsewhere are reconciled there.
            [...busy].filter((directiveId) => !supervisor.isElsewhere(Directive.streamOf(directiveId))),
            (directiveId) =>
              Effect.map(actor(directiveId), (ref) => ref.nudge({ _tag: "Wake" })).pipe(
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

/** Whether there is such a directive, or whose it is, cannot be said now. */
const cannotLook = (directiveId: DirectiveId) => (error: EventLogError | UnreadableEvent) =>
  Effect.andThen(
    Effect.logWarning(`${Directive.streamOf(directiveId)} cannot be looked up`, error),
    Effect.fail(new ActorUnavailable({ address: Directive.streamOf(directiveId), because: reasonOf(error) }))
  )

const ownerIn = (event: StoredEvent): Option.Option<OwnerId> =>
  event._tag === "DirectiveCreated" || event._tag === "DirectiveRemoved"
    ? Option.some(event.ownerId)
    : Option.none()

const isUnderWay = (state: Directive.State): boolean => state.openTasks > 0 || state.status === "active"

type CommandAnswered = Extract<DirectiveEvent, { _tag: "CommandAnswered" }>
type DirectiveBehaviour = Behaviour<Directive.State, DirectiveCommand, DirectiveEvent, DirectiveAnswer, Rejection>
