/**
 * Sections 3 and 8, from the events alone: a revision of the goal is planned once, unless somebody resumes the directive;
 * a plan counts for the revision that it was made for; and nothing new is begun for steps while a directive is not active.
 */
import type { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import type { TaskId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"

interface Directive {
  isActive: boolean
  /** The revision that was planned last, unless it was resumed since. */
  planned: number | undefined
}

type TaskCreated = Extract<DirectiveEvent, { readonly _tag: "TaskCreated" }>

export const plans: Invariant = {
  name: "plans",
  says:
    "A revision of the goal is planned once, by a plan that was made for it, and only an active directive begins things.",
  make: ({ violated }) => {
    const directives = new Map<string, Directive>()
    const tasks = new Map<TaskId, TaskCreated>()

    const begins = (directive: Directive, { kind, name, taskId }: TaskCreated, what: string) => {
      if (kind !== "completion" && !directive.isActive) {
        violated("nothing new in a directive that is not active", `task ${taskId} (${JSON.stringify(name)}) ${what}`)
      }
    }

    return {
      event: ({ event, stream }) => {
        const directive = directives.get(stream) ?? { isActive: false, planned: undefined }
        directives.set(stream, directive)
        switch (event._tag) {
          case "DirectiveStarted":
          case "DirectiveReactivated":
            directive.isActive = true
            return
          case "DirectiveResumed":
            directive.isActive = true
            directive.planned = undefined
            return
          case "DirectivePaused":
          case "DirectiveIdled":
          case "DirectiveStalled":
          case "DirectiveArchived":
            directive.isActive = false
            return
          case "TaskCreated":
            tasks.set(event.taskId, event)
            begins(directive, event, "is made")
            if (event.kind !== "planning") return
            if (directive.planned === event.revision) {
              violated(`one plan for revision ${event.revision} of the goal`, `another, and nobody resumed ${stream}`)
            }
            directive.planned = event.revision
            return
          case "TaskHandedOver":
            return begins(directive, tasks.get(event.taskId)!, "is handed over")
          case "PlanAccepted": {
            const { revision } = tasks.get(event.taskId)!
            if (revision === event.revision) return
            return violated(`a plan for revision ${revision}, for which it was made`, `one for ${event.revision}`)
          }
          default:
        }
      }
    }
  }
}
