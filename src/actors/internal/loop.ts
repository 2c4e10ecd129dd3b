/**
 * The one loop that runs every actor: take messages, decide, append, evolve, reply, react.
 *
 * Deciding is pure and is given in a `Behaviour`. All that can wait, fail or be interrupted is here. Whatever fails
 * here ends the loop; the Supervisor decides whether and when it starts again, from the log.
 */
import { Clock, Context, Deferred, Effect, Option, Queue, Result, type Scope } from "effect"
import {
  type Cause as EventCause,
  EventLog,
  type EventLogError,
  type StoredEvent,
  type StreamFenced,
  type VersionConflict
} from "../../events/EventLog.ts"
import type { UnreadableEvent } from "../../events/Unreadable.ts"
import * as Alarm from "./alarm.ts"
import type { StateCodec } from "./codec.ts"
import * as Keeper from "./keeper.ts"
import { type About, closeIfEmpty, type Mailbox, type Message, refuseAll, takeAll, unasked } from "./mailbox.ts"
import { reasonIn } from "./reason.ts"
import { type Folded, recover } from "./recovery.ts"
import * as Rest from "./rest.ts"

/** What this process is called in the log. Two processes on one log need two names. */
export const NodeName = Context.Reference<string>("makima-runtime/actors/NodeName", { defaultValue: () => "local" })

export interface Decided<State, Event, Answer> {
  readonly events: ReadonlyArray<Event>
  readonly state: State
  readonly answer: Answer
}

/** What makes an actor of one kind: its rules, and what it does to the world once they are in the log. */
export interface Behaviour<
  State,
  Command extends { readonly _tag: string },
  Event extends StoredEvent,
  Answer,
  Rejection
> {
  readonly empty: (stream: string) => State
  readonly evolve: (state: State, event: Event) => State
  readonly decide: (
    state: State,
    command: Command,
    now: number,
    commandId: string | undefined
  ) => Result.Result<Decided<State, Event, Answer>, Rejection>
  /** For actors that answer idempotency keys: the log is asked for what the state has let go of. */
  readonly answers?: {
    readonly mayHaveForgotten: (state: State, commandId: string) => boolean
    /** What a `CommandAnswered` says to the command that comes with its key now. */
    readonly recall: (answered: Event, command: Command) => Result.Result<Answer, Rejection>
  }
  /** The command that a due time sends. */
  readonly wake: Command
  /** When the actor wants that command next, in milliseconds since 1970, having decided everything until `now`. */
  readonly dueAt: (state: State, now: number) => number | undefined
  /**
   * A last command of a batch that depends on the rest of this process, such as which daemons have room. The append may
   * still fail, so nothing may be taken here that another actor could not do without, nor given away.
   */
  readonly conclude?: (
    state: State,
    events: ReadonlyArray<Event>,
    now: number,
    self: Self<Command>
  ) => Command | undefined
  /** With the state that the log gives: what the actor tells itself before it takes the first message. */
  readonly recovered: (state: State) => ReadonlyArray<Command>
  /** After the events are in the log. It must not wait for this actor. */
  readonly react: (events: ReadonlyArray<Event>, state: State, self: Self<Command>) => Effect.Effect<void>
  /** However the loop ends: nobody should count on the actor until it has recovered. */
  readonly ended?: (state: State) => void
  /** How its state is kept in snapshots. Without this, every recovery folds the whole stream. */
  readonly snapshots?: StateCodec<State>
  /** Whether nothing is under way, apart from what `dueAt` says. Without this, the actor is never passivated. */
  readonly isIdle?: (state: State) => boolean
  /** It has been idle for so long that it leaves the memory, and so should all that is kept beside the state. */
  readonly passivated?: (state: State) => void
}

/** How an actor sends itself a message: whenever there is room, without being waited for. */
export interface Self<Command> {
  readonly tell: (command: Command) => Effect.Effect<void>
  /** Sends `wake` at once. With a full mailbox that is not needed: whatever comes next wakes the actor as well. */
  readonly nudge: () => void
}

interface Current<State> extends Folded<State> {
  /** When the latest batch was decided. */
  readonly decidedAt: number
  /** Since this actor has claimed the stream: whoever claims it later ends what this one can append. */
  readonly epoch: number
}

/**
 * Runs an actor, as the owner of its stream, until it fails, is interrupted or is passivated. The mailbox outlives the
 * first two, so that a restarted actor goes on there.
 */
export const run = Effect.fnUntraced(
  function*<State, Command extends { readonly _tag: string }, Event extends StoredEvent, Answer, Rejection>(
    stream: string,
    behaviour: Behaviour<State, Command, Event, Answer, Rejection>,
    mailbox: Mailbox<Command, Answer, Rejection>
  ): Effect.fn.Return<void, VersionConflict | StreamFenced | EventLogError | UnreadableEvent, EventLog | Scope.Scope> {
    const log = yield* EventLog
    const scope = yield* Effect.scope
    const self: Self<Command> = {
      tell: (command) => Effect.asVoid(Effect.forkIn(Queue.offer(mailbox, unasked(command)), scope)),
      nudge: () => {
        Queue.offerUnsafe(mailbox, unasked(behaviour.wake))
      }
    }
    const alarm = yield* Alarm.make(self.tell(behaviour.wake))

    // Before it reads: what an earlier owner, or this actor before it failed, has under way is in the log by now or never
    // will be.
    const [epoch = 0] = yield* log.claim([stream], yield* NodeName)
    const { snapshotVersion, ...folded } = yield* recover(log, stream, behaviour)
    let current: Current<State> = { ...folded, decidedAt: 0, epoch }
    let isIdle = false
    const keeper = yield* Keeper.make(stream, behaviour.snapshots, snapshotVersion, self.nudge)
    const rest = yield* Rest.make(self.nudge)
    yield* Effect.addFinalizer(() => Effect.sync(() => behaviour.ended?.(current.state)))
    const batch = Effect.fnUntraced(function*(messages: ReadonlyArray<Message<Command, Answer, Rejection>>) {
      const { version } = current
      current = yield* handle(log, stream, behaviour, current, messages, self)
      // What became due since the batch was decided was not seen by it, so it counts as due and not as done.
      const due = behaviour.dueAt(current.state, current.decidedAt)
      yield* alarm(due)
      yield* keeper.consider(current)
      if (current.version > version || messages.some(({ command }) => command !== behaviour.wake)) {
        rest.interrupt(current.decidedAt)
      }
      isIdle = due === undefined && behaviour.isIdle?.(current.state) === true
      if (isIdle) yield* rest.begin
    })

    yield* batch(behaviour.recovered(current.state).map(unasked))
    while (true) {
      yield* Queue.peek(mailbox)
      let messages: ReadonlyArray<Message<Command, Answer, Rejection>> = []
      // Nothing is taken before it is sure to be settled: whatever ends this actor, nobody waits for it in vain.
      yield* Effect.suspend(() => batch(messages = takeAll(mailbox))).pipe(
        Effect.onExit((exit) =>
          exit._tag === "Success"
            ? Effect.void
            : Effect.sync(() => refuseAll(stream, messages, reasonIn(exit.cause, "it is stopping")))
        )
      )
      if (!isIdle || !rest.isOver(current.decidedAt)) continue
      // Messages may come while the snapshot is on its way; when it is done, the keeper rings and there is another look.
      if (!keeper.isDone(current.version)) yield* keeper.take(current)
      else if (closeIfEmpty(mailbox)) return behaviour.passivated?.(current.state)
    }
  }
)

/** Decides all messages on top of each other, appends once, and only then replies and reacts. */
const handle = Effect.fnUntraced(
  function*<State, Command extends { readonly _tag: string }, Event extends StoredEvent, Answer, Rejection>(
    log: EventLog["Service"],
    stream: string,
    behaviour: Behaviour<State, Command, Event, Answer, Rejection>,
    current: Current<State>,
    messages: ReadonlyArray<Message<Command, Answer, Rejection>>,
    self: Self<Command>
  ) {
    const now = yield* Clock.currentTimeMillis
    const events: Array<Event> = []
    const causes: Array<EventCause> = []
    const outcomes: Array<Result.Result<Answer, Rejection>> = []
    let { state } = current
    const take = (decided: Decided<State, Event, Answer>, about: EventCause, command: string | undefined) => {
      for (const event of decided.events) {
        const causationId = command ?? `${stream}@${current.version + events.length}`
        command = undefined
        events.push(event)
        causes.push({ ...about, causationId })
      }
      state = decided.state
    }

    for (const { about, command } of messages) {
      const { commandId } = about
      const answered = commandId !== undefined && behaviour.answers?.mayHaveForgotten(state, commandId) === true
        ? events.find((event, i) => isAnswer(event) && causes[i]!.commandId === commandId) ??
          (yield* answerInLog<Event>(log, stream, commandId))
        : undefined
      if (answered !== undefined) {
        outcomes.push(behaviour.answers!.recall(answered, command))
        continue
      }
      const decision = behaviour.decide(state, command, now, commandId)
      outcomes.push(Result.map(decision, ({ answer }) => answer))
      if (Result.isSuccess(decision)) take(decision.success, idsOf(about), command._tag)
    }
    const conclusion = behaviour.conclude?.(state, events, now, self)
    if (conclusion !== undefined) {
      const decision = behaviour.decide(state, conclusion, now, undefined)
      if (Result.isFailure(decision)) {
        return yield* Effect.die(new Error(`${stream} rejected its own conclusion: ${String(decision.failure)}`))
      }
      // What follows from the batch belongs to the request whose events came last in it.
      const { commandId: _, causationId: __, ...request } = causes.at(-1) ?? {}
      take(decision.success, request, events.length === 0 ? conclusion._tag : undefined)
    }

    const recorded = events.length === 0
      ? []
      : yield* log.append([{ stream, expected: current.version, epoch: current.epoch, events, causes }], { at: now })
    const next: Current<State> = {
      state,
      version: current.version + events.length,
      position: recorded.at(-1)?.position ?? current.position,
      decidedAt: now,
      epoch: current.epoch
    }
    // A reply is a promise that the fact survives a crash, so it follows the append.
    for (const [index, { reply }] of messages.entries()) {
      if (reply === undefined) continue
      const outcome = outcomes[index]!
      Deferred.doneUnsafe(
        reply,
        Result.isSuccess(outcome)
          ? Effect.succeed({ answer: outcome.success, position: next.position })
          : Effect.fail(outcome.failure)
      )
    }
    if (events.length > 0) yield* behaviour.react(events, state, self)
    return next
  }
)

const isAnswer = ({ _tag }: StoredEvent): boolean => _tag === "CommandAnswered"

const answerInLog = <Event extends StoredEvent>(log: EventLog["Service"], stream: string, commandId: string) =>
  Effect.map(
    log.findAnswer(stream, commandId),
    Option.match({
      onNone: () => undefined,
      onSome: ({ event }) => event as Event
    })
  )

const idsOf = ({ commandId, correlationId = commandId }: About): EventCause => ({
  ...(commandId === undefined ? {} : { commandId }),
  ...(correlationId === undefined ? {} : { correlationId })
})
