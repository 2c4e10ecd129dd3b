/** How messages reach an actor, and how whoever waits for an answer always gets one. */
import { Deferred, Effect, Queue, Schema } from "effect"

/** How many messages may wait for one actor; whoever sends more waits until there is room. */
export const mailboxCapacity = 1024

/** The actor did not answer. Where the log failed, what was asked may or may not have happened. */
export class ActorUnavailable extends Schema.TaggedError<ActorUnavailable>()("ActorUnavailable", {
  address: Schema.String,
  because: Schema.String
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

/** A command on its way to an actor; never stored. */
export interface Message<Command, Answer, Rejection> {
  readonly command: Command
  /** The idempotency key of the command, where it has one. */
  readonly commandId: string | undefined
  /** Where the answer goes; nobody waits for it when undefined. */
  readonly reply: Deferred.Deferred<Answered<Answer>, Rejection | ActorUnavailable> | undefined
}

export type Mailbox<Command, Answer, Rejection> = Queue.Queue<Message<Command, Answer, Rejection>>

/** Where messages for an actor go. */
export interface ActorRef<Command, Answer, Rejection> {
  readonly address: string
  /** Waits for the answer, which always comes, if only to say that the actor is unavailable. */
  readonly ask: (
    command: Command,
    commandId?: string
  ) => Effect.Effect<Answered<Answer>, Rejection | ActorUnavailable>
  /** Does not wait for an answer, and does not learn what became of the command. */
  readonly tell: (command: Command) => Effect.Effect<void>
}

export const make = <Command, Answer, Rejection>(): Effect.Effect<Mailbox<Command, Answer, Rejection>> =>
  Queue.bounded(mailboxCapacity)

export const refTo = <Command, Answer, Rejection>(
  address: string,
  mailbox: Mailbox<Command, Answer, Rejection>
): ActorRef<Command, Answer, Rejection> => ({
  address,
  ask: Effect.fnUntraced(function*(command, commandId) {
    const reply = yield* Deferred.make<Answered<Answer>, Rejection | ActorUnavailable>()
    // A closed mailbox takes nothing, and nothing would ever settle the reply.
    if (!(yield* Queue.offer(mailbox, { command, commandId, reply }))) {
      return yield* new ActorUnavailable({ address, because: "it has stopped" })
    }
    return yield* Deferred.await(reply)
  }),
  tell: (command) => Effect.asVoid(Queue.offer(mailbox, { command, commandId: undefined, reply: undefined }))
})

/** Takes no more messages, and settles those that wait. */
export const close = Effect.fnUntraced(function*<Command, Answer, Rejection>(
  address: string,
  mailbox: Mailbox<Command, Answer, Rejection>,
  because: string
) {
  const waiting = yield* Queue.clear(mailbox)
  yield* Queue.shutdown(mailbox)
  refuseAll(address, waiting, because)
})

/** Settles every message that somebody waits for and that is not settled yet. */
export const refuseAll = <Command, Answer, Rejection>(
  address: string,
  messages: ReadonlyArray<Message<Command, Answer, Rejection>>,
  because: string
): void => {
  for (const { reply } of messages) {
    if (reply !== undefined) Deferred.doneUnsafe(reply, Effect.fail(new ActorUnavailable({ address, because })))
  }
}
