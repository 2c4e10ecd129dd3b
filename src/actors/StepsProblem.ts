/** What the rules would say of the steps that a new directive is given, before anybody makes it. */
import { Result } from "effect"
import { OwnerId } from "../events/Ids.ts"
import * as Directive from "./Directive.ts"
import type { NewStep } from "./DirectiveCommand.ts"

/** The first thing that is wrong with them, and its place, as in `steps[0].dependsOn: a cycle: a → b → a`. */
export const problemOfSteps = ({ goal, steps, title }: {
  readonly title: string
  readonly goal: string
  readonly steps?: ReadonlyArray<NewStep>
}): string | undefined => {
  if (steps === undefined || steps.length === 0) return undefined
  const context = { now: 0, policy: Directive.defaultPolicy }
  const ownerId = OwnerId.make("nobody")
  const created = Directive.decide(
    Directive.empty(Directive.streamOf("00000000-0000-5000-8000-000000000000")),
    { _tag: "CreateDirective", ownerId, title, goal },
    context
  )
  const added = Result.flatMap(created, ({ state }) => Directive.decide(state, { _tag: "AddSteps", steps }, context))
  return Result.isFailure(added) ? added.failure.message.replace(/; no step was added$/, "") : undefined
}
