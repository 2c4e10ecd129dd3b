/**
 * Answers to commands with an idempotency key: a key stands for one command, and a repeat gets the first answer.
 *
 * The latest are in the state. Older ones are in the log, where the loop looks for them; the rules see no log.
 */
import { HashMap, Result } from "effect"
import type { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import { type DirectiveAnswer, type DirectiveCommand, KeyReused } from "../DirectiveCommand.ts"
import { type Answered, answersMax, type State } from "../DirectiveState.ts"

/** Only `decide` records answers, so what is in the event is one. */
export const answeredBy = (event: Extract<DirectiveEvent, { _tag: "CommandAnswered" }>): Answered => ({
  commandId: event.commandId,
  command: event.command,
  answer: event.answer as unknown as DirectiveAnswer
})

/** The first answer again, if it is the same command. */
export const recall = (
  { answer, command: first, commandId }: Answered,
  command: DirectiveCommand
): Result.Result<DirectiveAnswer, KeyReused> =>
  first === undefined || first === command._tag
    ? Result.succeed(answer)
    : Result.fail(new KeyReused({ commandId, answered: first, refused: command._tag }))

/** Whether an answer to this key may have been given and is no longer at hand. */
export const mayHaveForgotten = (state: State, commandId: string): boolean =>
  HashMap.size(state.answers) >= answersMax && !HashMap.has(state.answers, commandId)
