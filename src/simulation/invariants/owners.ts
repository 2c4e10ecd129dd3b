/**
 * Invariant 10: strangers are told that there is no such directive, whatever they ask, and daemons are sent nothing that is
 * about another owner's tasks. That answers in HTTP say no more than that is for `test/server` to say.
 */
import { Exit, Option } from "effect"
import type { Invariant } from "../Invariant.ts"

export const owners: Invariant = {
  name: "10",
  says: "Nothing about one owner is visible to another.",
  make: ({ ledger, violated }) => ({
    response: ({ command, directiveId, ownerId }, response) => {
      const owner = ledger.directives.get(directiveId)?.ownerId
      if (owner === undefined || owner === ownerId) return
      const error = Exit.isFailure(response) ? Option.getOrUndefined(Exit.findErrorOption(response)) : undefined
      if (error?._tag === "ActorUnavailable" || error?._tag === "DirectiveNotFound") return
      // Who names an id may hear that it is taken.
      if (command._tag === "CreateDirective" && error?._tag === "DirectiveExists") return
      violated(
        `no directive for ${ownerId}, to whom it does not belong`,
        `${error?._tag ?? "an answer"} to ${command._tag}`
      )
    },
    frame: ({ name, ownerId }, frame) => {
      if (frame.type !== "spawnTask" && frame.type !== "interruptTask") return
      const directiveId = ledger.directiveOf(frame.taskId)
      const owner = directiveId === undefined ? undefined : ledger.directives.get(directiveId)?.ownerId
      // Whoever lists a task that is not there may be told to stop it: that says nothing about anybody.
      if (owner === undefined && frame.type === "interruptTask") return
      if (owner !== ownerId) violated(`tasks of ${ownerId} for ${name}`, `${frame.type} of a task of ${String(owner)}`)
    }
  })
}
