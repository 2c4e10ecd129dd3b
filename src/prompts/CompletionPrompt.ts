/** What the agent that turns the finished steps of a directive into a pull request is told. */
import {
  fenced,
  listed,
  mergeCommands,
  oneLine,
  prompt,
  quote,
  section,
  shellText,
  shellWord
} from "./internal/text.ts"

export interface MergedStep {
  readonly name: string
  readonly branch: string
}

const goalCharsMax = 20_000
const stepsCharsMax = 15_000

/** GitHub refuses a longer title, and a body of more than 65,536 characters. */
const prTitleCharsMax = 250

interface CompletionOptions {
  readonly title: string
  readonly goal: string
  readonly baseBranch: string
  readonly prBranch: string
  /** Known once the pull request was opened: it gets the new branches. */
  readonly prUrl?: string | undefined
  readonly steps: ReadonlyArray<MergedStep>
}

export const completionPrompt = (options: CompletionOptions): string =>
  options.prUrl ? updatePrompt(options, options.prUrl) : openPrompt(options)

const openPrompt = (options: CompletionOptions): string =>
  prompt(
    section(
      "Pull request to open",
      "All steps of a directive have ended. Put their work on one branch and open a pull request from it.",
      [
        `Directive: ${oneLine(options.title)}`,
        `Branch: ${oneLine(options.prBranch)}`,
        `Into: ${oneLine(options.baseBranch)}`
      ].join("\n"),
      goalIntroduction,
      quote(options.goal, goalCharsMax)
    ),
    section("Steps", stepLines(options.steps)),
    section("Commands", openIntroduction, fenced("sh", openCommands(options)), openNotes),
    section("Conflicts", conflictAdvice),
    section("How it ends", howItEnds)
  )

const updatePrompt = (options: CompletionOptions, prUrl: string): string =>
  prompt(
    section(
      "Pull request to update",
      "A directive that has a pull request already went on. Bring the work of its steps into the branch of that request.",
      [
        `Directive: ${oneLine(options.title)}`,
        `Pull request: ${oneLine(prUrl)}`,
        `Branch: ${oneLine(options.prBranch)}`
      ].join("\n"),
      goalIntroduction,
      quote(options.goal, goalCharsMax)
    ),
    section("Steps", stepLines(options.steps)),
    section("Commands", updateIntroduction, fenced("sh", updateCommands(options)), updateNotes),
    section("Conflicts", conflictAdvice),
    section("How it ends", howItEnds)
  )

const stepLines = (steps: ReadonlyArray<MergedStep>): string =>
  listed(steps, stepsCharsMax, ({ branch, name }) => `- ${oneLine(branch)}: ${oneLine(name)}`)

/**
 * May be run again after an attempt that failed anywhere. What that attempt pushed is merged rather than overwritten, so
 * the push is a fast-forward and conflicts that were resolved stay resolved; a request it opened is found again.
 *
 * An earlier attempt's worktree may still hold the branch, hence `--ignore-other-worktrees`.
 */
const openCommands = ({ baseBranch, goal, prBranch, steps, title }: CompletionOptions): string => {
  const branch = shellWord(prBranch)
  const body = `## Goal\n\n${quote(goal, goalCharsMax)}\n\n## Steps\n\n${stepLines(steps)}`
  return `\
set -e
git fetch origin
git checkout --ignore-other-worktrees -B ${branch} ${shellWord(`origin/${baseBranch}`)}
if git ls-remote --exit-code origin ${shellWord(`refs/heads/${prBranch}`)}; then
  ${mergeCommands([prBranch])}
fi
${mergeCommands(steps.map((step) => step.branch))}
git push -u origin ${branch}
pr_title=${shellWord(oneLine(title, prTitleCharsMax))}
pr_body=${shellText(body)}
pr_url=$(gh pr create --title "$pr_title" --body "$pr_body" --head ${branch} --base ${shellWord(baseBranch)}) ||
  pr_url=$(gh pr view ${branch} --json url --jq .url)
makima directive update --pr-url "$pr_url"`
}

const updateCommands = ({ prBranch, steps }: CompletionOptions): string => {
  const branch = shellWord(prBranch)
  return `\
set -e
git fetch origin
git checkout --ignore-other-worktrees ${branch}
git pull --no-rebase --no-edit origin ${branch}
${mergeCommands(steps.map((step) => step.branch))}
git push origin ${branch}`
}

const goalIntroduction = "Goal, in the words of whoever set it (the `>` marks are not part of it):"

const openIntroduction = "Run this in the worktree you are in:"

const openNotes = `\
It ends by storing the address of the pull request with makima; without that, makima takes the request for missing. All
of it can be run again after a failure: what is merged, pushed or open already is used.`

const updateIntroduction = "Run this in the worktree you are in. Branches that are merged already are harmless:"

const updateNotes = `\
The pull request shows the new commits by itself; there is none to open. If the branch is gone from origin, because the
request was merged or closed meanwhile, do not create it anew: say so and end as a failure.`

const conflictAdvice = `\
The commands stop at the first one that fails. If that is a merge with conflicts, resolve them sensibly: read what the
steps on both sides were for, keep the intent of both, run the project's tests if it has any, and commit. Then go on
with the commands after that merge. Never drop a step's work to get past a conflict.`

const howItEnds = `\
When the branch is pushed and the pull request has it, exit with status 0: success is noticed by itself. If that cannot
be reached, say clearly what failed and why, and exit with a non-zero status.`
