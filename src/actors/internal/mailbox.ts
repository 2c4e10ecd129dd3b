/** How messages reach an actor, and how whoever waits for an answer always gets one. */
import { Cause, Deferred, Effect, Queue, Schema } from "effect"
import { Parked } from "../Supervisor.ts"

/** How many messages may wait for one actor; whoever sends more waits until there is room. */
export const mailboxCapacity = 1024

/**
 * The actor did not answer. Where the log failed, what was asked may or may not have happened. `because` goes to whoever asked,
 * as far away as that is: it says nothing of what a database or a defect says (`reason.ts`).
 */
export class ActorUnavailable extends Schema.TaggedError<ActorUnavailable>()("ActorUnavailable", {
  address: Schema.String,
  because: Schema.String,
  /** Since when it is parked, in milliseconds since 1970, and why, if it is: it answers when somebody has resumed it. */
  parked: Schema.optionalKey(Parked)
}) {
  override get message(): string {
    return `${this.address} cannot answer now: ${this.because}`
  }
}

/** An answer, and the log position from which on it can be read. */
export interface Answered<Answer> {
  readonly answer: Answer
  readonly position: number
}

/** What is said about a command beside the command itself. */
export interface About {
  /** Its idempotency key, where it has one. */
  readonly commandId?: string
  /** The id of the request that it came with. Without one, the idempotency key stands in for it. */
  readonly correlationId?: string
}

/** A command on its way to an actor; never stored. */
export interface Message<Command, Answer, Rejection> {
  readonly command: Command
  readonly about: About
  /** Where the answer goes; nobody waits for it when undefined. */
  readonly reply: Deferred.Deferred<Answered<Answer>, Rejection | ActorUnavailable> | undefined
}

export type Mailbox<Command, Answer, Rejection> = Queue.Queue<Message<Command, Answer, Rejection>>

/** Where messages for an actor go. */
export interface ActorRef<Command, Answer, Rejection> {
  readonly address: string
  /** Waits for the answer, which always comes, if only to say that the actor is unavailable. */
  readonly ask: (command: Command, about?: About) => Effect.Effect<Answered<Answer>, Rejection | ActorUnavailable>
  /** Waits for room, but not for an answer, and does not learn what became of the command: it may be lost. */
  readonly tell: (command: Command) => Effect.Effect<void>
  /** Waits for nothing: with a full mailbox the command is lost. */
  readonly nudge: (command: Command) => void
}

/** A command that nobody waits for. */
export const unasked = <Command>(command: Command) => ({ command, about: {}, reply: undefined })

export const unavailable = (address: string) =>
  Effect.fail(new ActorUnavailable({ address, because: "it has stopped" }))

export const make = <Command, Answer, Rejection>(): Effect.Effect<Mailbox<Command, Answer, Rejection>> =>
  Queue.bounded(mailboxCapacity)

/** `successor` is where messages go that come when the mailbox is closed. */
export const refTo = <Command, Answer, Rejection>(
  address: string,
  mailbox: Mailbox<Command, Answer, Rejection>,
  successor: Effect.Effect<ActorRef<Command, Answer, Rejection>, ActorUnavailable> = unavailable(address)
): ActorRef<Command, Answer, Rejection> => ({
  address,
  ask: Effect.fnUntraced(function*(command, about = {}) {
    const reply = yield* Deferred.make<Answered<Answer>, Rejection | ActorUnavailable>()
    // A closed mailbox takes nothing, and nothing would ever settle the reply.
    if (!(yield* Queue.offer(mailbox, { command, about, reply }))) {
      const next = yield* successor
      return yield* next.ask(command, about)
    }
    return yield* Deferred.await(reply)
  }),
  tell: Effect.fnUntraced(function*(command) {
    if (yield* Queue.offer(mailbox, unasked(command))) return
    yield* Effect.ignore(Effect.flatMap(successor, (next) => next.tell(command)))
  }),
  nudge: (command) => {
    Queue.offerUnsafe(mailbox, unasked(command))
  }
})

/** Takes what is there, without waiting: whoever takes a message sees to it that it is settled. */
export const takeAll = <Command, Answer, Rejection>(
  mailbox: Mailbox<Command, Answer, Rejection>
): ReadonlyArray<Message<Command, Answer, Rejection>> => {
  const taken: Array<Message<Command, Answer, Rejection>> = []
  while (taken.length < mailboxCapacity) {
    const next = Queue.takeUnsafe(mailbox)
    if (next?._tag !== "Success") break
    taken.push(next.value)
  }
  return taken
}

/** Takes no more messages, if none waits, and says whether it is so. Then nobody is refused, and nothing is lost. */
export const closeIfEmpty = <Command, Answer, Rejection>(mailbox: Mailbox<Command, Answer, Rejection>): boolean =>
  Queue.sizeUnsafe(mailbox) === 0 && Queue.failCauseUnsafe(mailbox, Cause.interrupt())

/** Takes no more messages, and settles those that wait, also those that wait for room. */
export const close = <Command, Answer, Rejection>(
  address: string,
  mailbox: Mailbox<Command, Answer, Rejection>,
  because: string,
  parked?: Parked
): Effect.Effect<void> =>
  Effect.sync(() => {
    // Nothing comes in behind those who are refused here, while those who waited for room still get their turn.
    Queue.failCauseUnsafe(mailbox, Cause.interrupt())
    for (let waiting = takeAll(mailbox); waiting.length > 0; waiting = takeAll(mailbox)) {
      refuseAll(address, waiting, because, parked)
    }
  })

/** Settles every message that somebody waits for and that is not settled yet. */
export const refuseAll = <Command, Answer, Rejection>(
  address: string,
  messages: ReadonlyArray<Message<Command, Answer, Rejection>>,
  because: string,
  parked?: Parked
): void => {
  const error = new ActorUnavailable({ address, because, ...(parked === undefined ? {} : { parked }) })
  for (const { reply } of messages) {
    if (reply !== undefined) Deferred.doneUnsafe(reply, Effect.fail(error))
  }
}
