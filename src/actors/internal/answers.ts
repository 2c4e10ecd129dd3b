/**
 * Answers to commands with an idempotency key: a key stands for one command with all that it asks for, and a repeat gets the
 * first answer. Whoever gives a key to something else is told so, and not that it was done.
 *
 * The latest are in the state. Older ones are in the log, where the loop looks for them; the rules see no log.
 */
import { HashMap, Result, type Schema } from "effect"
import { hash } from "node:crypto"
import { canonical } from "../../events/Chain.ts"
import type { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import { type DirectiveAnswer, type DirectiveCommand, KeyReused } from "../DirectiveCommand.ts"
import { type Answered, answersMax, type State } from "../DirectiveState.ts"

/** Only `decide` records answers, so what is in the event is one. */
export const answeredBy = (event: Extract<DirectiveEvent, { _tag: "CommandAnswered" }>): Answered => ({
  commandId: event.commandId,
  command: event.command,
  digest: event.digest,
  answer: event.answer as unknown as DirectiveAnswer
})

/**
 * What a command asks for, all of it, as a SHA-256 in hex. It is compared with those in old logs: a field that commands get
 * some day has to be left out where nobody gave it.
 */
export const digestOf = (command: DirectiveCommand): string =>
  // Commands come as JSON, and what a field of theirs may lack is left out.
  hash("sha256", canonical(command as unknown as Schema.Json))

/** The first answer again, if it is the same command and asks for the same. */
export const recall = (
  { answer, command: first, commandId, digest }: Answered,
  command: DirectiveCommand
): Result.Result<DirectiveAnswer, KeyReused> => {
  const isRepeat = (first === undefined || first === command._tag) &&
    (digest === undefined || digest === digestOf(command))
  return isRepeat
    ? Result.succeed(answer)
    : Result.fail(new KeyReused({ commandId, answered: first ?? command._tag, refused: command._tag }))
}

/** Whether an answer to this key may have been given and is no longer at hand. */
export const mayHaveForgotten = (state: State, commandId: string): boolean =>
  HashMap.size(state.answers) >= answersMax && !HashMap.has(state.answers, commandId)
