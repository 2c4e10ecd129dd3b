/** The one place where branches get their names (spec section 5): prompts, rules and the local daemon all ask here. */

const lengthMax = 40

/** Lower case, each run of other characters one `-`, none at the ends, at most 40 characters, `task` if nothing is left. */
export const sanitise = (name: string): string => {
  const trimmed = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-/, "").slice(0, lengthMax).replace(/-$/, "")
  return trimmed === "" ? "task" : trimmed
}

/** The first eight hex digits of a UUID. */
export const shortId = (id: string): string => id.slice(0, 8)

/** The branch that holds the work of one step's task. */
export const ofTask = (taskName: string, taskId: string): string => `makima/${sanitise(taskName)}-${shortId(taskId)}`

/** The branch that a directive's pull request is made from. */
export const ofDirective = (title: string, directiveId: string): string =>
  `makima/directive-${sanitise(title)}-${shortId(directiveId)}`
