/** How handlers talk to the runtime: commands go to directives, reads to the read models. */
import { Effect, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { streamOf } from "../../actors/Directive.ts"
import { Directives } from "../../actors/DirectiveActor.ts"
import { type DirectiveCommand, DirectiveNotFound, TaskNotFound } from "../../actors/DirectiveCommand.ts"
import { parkedBecause } from "../../actors/SupervisorActor.ts"
import { EventLog } from "../../events/EventLog.ts"
import type { DirectiveId, TaskId } from "../../events/Ids.ts"
import type { UnreadableEvent } from "../../events/Unreadable.ts"
import { Projections } from "../../projections/Projections.ts"
import { ReadModel, type ReadModelError } from "../../projections/ReadModel.ts"
import { CurrentOwner } from "../Api.ts"
import { refuse } from "./rejections.ts"

export interface CommandHeaders {
  readonly "idempotency-key"?: string
}

export const idempotencyKey = (headers: CommandHeaders) => headers["idempotency-key"]

/** The id of a request that comes without an idempotency key. */
const freshRequest = Effect.gen(function*() {
  const random = yield* SecureRandom.SecureRandom
  return { correlationId: yield* random.uuidV4() }
})

/** Sends a command to a directive of the current owner, and answers with what came of it and the position. */
export const command = Effect.fnUntraced(
  function*(directiveId: DirectiveId, command: DirectiveCommand, headers: CommandHeaders) {
    const directives = yield* Directives
    const ownerId = yield* CurrentOwner
    const commandId = idempotencyKey(headers)
    const about = commandId === undefined ? yield* freshRequest : { commandId }
    const { answer, position } = yield* directives.ask(directiveId, command, { ownerId, ...about }).pipe(
      // One sentence for what is not there and what is another owner's, so that they cannot be told apart.
      Effect.catchTag("DirectiveNotFound", () => Effect.fail(new DirectiveNotFound({ directiveId })))
    )
    return { ...answer, position }
  },
  Effect.catch(refuse)
)

/** Waits until the read models show the log up to this position. */
export const reached = (position: number | undefined) =>
  position === undefined
    ? Effect.void
    : Projections.use((projections) => projections.awaitPosition(position)).pipe(Effect.catch(refuse))

/**
 * Looks something up. What is not there may only just have come into the log: it is looked up once more when the read
 * models hold all that the log did.
 */
export const lookUp = Effect.fnUntraced(
  function*<A>(find: (readModel: ReadModel["Service"]) => Effect.Effect<Option.Option<A>, ReadModelError>) {
    const readModel = yield* ReadModel
    const known = yield* find(readModel)
    if (Option.isSome(known)) return known
    const { head } = yield* EventLog
    const projections = yield* Projections
    yield* projections.awaitPosition(yield* head)
    return yield* find(readModel)
  },
  Effect.catch(refuse)
)

/** A task of the current owner. */
export const currentTask = Effect.fnUntraced(function*(taskId: TaskId) {
  const ownerId = yield* CurrentOwner
  const found = yield* lookUp((readModel) => readModel.task(ownerId, taskId))
  return Option.isSome(found) ? found.value : yield* refuse(new TaskNotFound({ taskId }))
})

export const directiveNotFound = (directiveId: DirectiveId) => refuse(new DirectiveNotFound({ directiveId }))

/** Whoever asks about a directive that cannot be read is told since when it is parked, if it is and is theirs. */
export const unreadable = Effect.fnUntraced(function*(directiveId: DirectiveId, event: UnreadableEvent) {
  const parked = yield* (yield* Directives).parked(directiveId)
  if (Option.isNone(parked)) return yield* event
  const own = yield* (yield* ReadModel).directive(yield* CurrentOwner, directiveId)
  return yield* Option.isSome(own) ? parkedBecause(streamOf(directiveId), parked.value) : event
})
