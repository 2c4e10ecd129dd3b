/** The tasks of one owner, which is all that its daemons hear of: another owner's is as unknown as one that never was. */
import { Context, Effect, Option } from "effect"
import { Directives } from "../../actors/DirectiveActor.ts"
import type { DirectiveId, OwnerId, TaskId } from "../../events/Ids.ts"

/** Finds the directive of an owner's task that is not known in this process, as that of a directive that does not run. */
export const TaskDirectory = Context.Reference<
  (taskId: TaskId, ownerId: OwnerId) => Effect.Effect<Option.Option<DirectiveId>>
>("makima-runtime/daemon/TaskDirectory", { defaultValue: () => () => Effect.succeed(Option.none()) })

export type OwnTasks = Effect.Success<ReturnType<typeof make>>

export const make = Effect.fnUntraced(function*(ownerId: OwnerId) {
  const directives = yield* Directives
  const directory = yield* TaskDirectory

  /** What this process knows of a task. */
  const known = (taskId: TaskId) => {
    const task = directives.task(taskId)
    return task?.ownerId === ownerId ? task : undefined
  }

  const directiveOf = Effect.fnUntraced(function*(taskId: TaskId) {
    return known(taskId)?.directiveId ?? Option.getOrUndefined(yield* directory(taskId, ownerId))
  })

  /** The same as `known`, where its directive may have to come up for that. */
  const find = Effect.fnUntraced(function*(taskId: TaskId) {
    const task = known(taskId)
    if (task !== undefined) return task
    const directiveId = Option.getOrUndefined(yield* directory(taskId, ownerId))
    if (directiveId === undefined) return undefined
    yield* Effect.ignore(directives.resume(directiveId))
    return known(taskId)
  })

  return { known, find, directiveOf }
})
