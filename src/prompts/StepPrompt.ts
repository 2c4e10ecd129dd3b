/** What the agent that carries out one step is told. It is all that the agent knows. */
import { fenced, type Memory, memoryLines, mergeCommands, oneLine, prompt, quote, section } from "./internal/text.ts"

const descriptionCharsMax = 30_000
const taskPlanCharsMax = 120_000

export const stepPrompt = ({ description, directiveTitle, memories, mergeBranches, name, taskPlan }: {
  readonly directiveTitle: string
  readonly name: string
  readonly description?: string | undefined
  readonly taskPlan?: string | undefined
  /** The branches of the dependencies after the first: the worktree already continues from that one. */
  readonly mergeBranches: ReadonlyArray<string>
  readonly memories: ReadonlyArray<Memory>
}): string =>
  prompt(
    mergeBranches.length > 0 &&
      section(
        "Merge first",
        mergeReason,
        fenced("sh", `git fetch origin\n${mergeCommands(mergeBranches)}`),
        conflictAdvice
      ),
    section(
      "Step to carry out",
      "You are the agent that carries out one step of a directive, in the git worktree you are in.",
      [`Directive: ${oneLine(directiveTitle)}`, `Step: ${oneLine(name)}`].join("\n"),
      ...(description
        ? ["Description (the `>` marks are not part of it):", quote(description, descriptionCharsMax)]
        : [])
    ),
    taskPlan
      ? section(
        "Instructions",
        "Written for you by the planner (the `>` marks are not part of them):",
        quote(taskPlan, taskPlanCharsMax)
      )
      : section("Instructions", defaultInstructions),
    memories.length > 0 && section("Memories", memoriesAdvice, memoryLines(memories)),
    section("How it ends", howItEnds)
  )

const mergeReason = `\
This step depends on more than one other step. Your worktree continues from the first of them; the work of the others
is on branches of origin. Before anything else, merge it:`

const conflictAdvice = `\
Run the commands one after the other. Where one stops at a conflict, resolve it sensibly, so that the intent of both
sides survives, commit, and go on with the next.`

const defaultInstructions = `\
There are no instructions beyond the step's name and description. Do what the description says, or the name if there is
none: look around in the repository first, follow its habits, and check the result with its own tests.`

const memoriesAdvice = "Learned in earlier rounds of work on this directive:"

const howItEnds = `\
When the work is done and checked, just exit with status 0: success is noticed by itself. Your changes, committed or
not, are then put on this step's branch, and the steps that depend on it go on from there.

If you cannot do what is asked, do not pretend that you did: say clearly what failed and why, and exit with a non-zero
status.`
