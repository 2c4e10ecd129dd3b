/** What the planning agent of a directive is told. It plans; carrying steps out is for other agents (`StepPrompt.ts`). */
import { fenced, listed, type Memory, memoryLines, oneLine, prompt, quote, section } from "./internal/text.ts"

export interface ExistingStep {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly description?: string | undefined
  readonly orderIndex?: number | undefined
}

const goalCharsMax = 80_000
const existingCharsMax = 80_000
const descriptionCharsMax = 2000

export const planningPrompt = ({ existing, generation, goal, memories, repositoryUrl, title }: {
  readonly title: string
  readonly goal: string
  readonly repositoryUrl?: string | undefined
  /** Empty when the directive is planned for the first time. */
  readonly existing: ReadonlyArray<ExistingStep>
  readonly generation: number
  readonly memories: ReadonlyArray<Memory>
}): string =>
  prompt(
    memories.length > 0 && section("Memories", memoryLines(memories), memoriesAdvice),
    existing.length > 0 &&
      section(
        "Existing steps",
        "This directive has steps already, planned before its goal was what it is now, or by a plan that was not finished:",
        listed(existing, existingCharsMax, existingStep),
        `The steps that you add now are generation ${generation}; makima marks them so by itself.`,
        existingAdvice
      ),
    section(
      "Directive to plan",
      [`Title: ${oneLine(title)}`, ...(repositoryUrl ? [`Repository: ${oneLine(repositoryUrl)}`] : [])].join("\n"),
      "Goal, in the words of whoever set it (the `>` marks are not part of it):",
      quote(goal, goalCharsMax)
    ),
    section("What to do", whatToDo),
    section("What a step has", whatAStepHas),
    section("How to submit", howToSubmit, fenced("sh", batchExample), orOneByOne, fenced("sh", singleExample), refused),
    section("How work passes from step to step", howWorkPasses)
  )

const existingStep = ({ description, id, name, orderIndex, status }: ExistingStep): string => {
  const order = orderIndex === undefined ? "" : `, orderIndex ${orderIndex}`
  const details = description ? quote(description, descriptionCharsMax) : "(no description)"
  return `- ${oneLine(id)} [${oneLine(status)}${order}] ${oneLine(name)}\n${details.replace(/^(?=.)/gm, "  ")}`
}

const memoriesAdvice =
  "This is what earlier rounds of work on this directive learned. Build on it, and do not make a mistake a second time."

const existingAdvice = `\
Build on what is done and add what the goal below still lacks. New steps can name existing ones in dependsOn, by the id
at the start of their line. A pending step that the goal makes pointless can be taken out of the plan with
\`makima directive skip <stepId>\`; leave alone what is running or done.`

const whatToDo = `\
You are the planner of this directive. You do not change the repository yourself.

1. Explore the repository you are in: how it is laid out, built and tested, and which habits its code has.
2. Decompose the goal into concrete steps, in the order in which they have to happen. One step is one task for one coding
   agent that works alone. Prefer steps that can run side by side without touching the same files.
3. Submit all of the steps with the commands below, then end. Only steps that are submitted exist; a plan that you
   merely describe is lost.`

const whatAStepHas = `\
- \`name\`: a short imperative, such as "Reject expired sessions". At most 200 characters.
- \`description\`: what has to be done, and the acceptance criteria by which somebody can tell that it is.
- \`taskPlan\`: the complete instructions for the agent that carries the step out: the paths of the files to read and
  to change, the patterns to follow, the commands that check the result. It has to be self-contained. That agent sees
  nothing of your context: not this prompt, not what you have read or thought, not the other steps.
- \`dependsOn\`: the steps whose work this one needs.
- \`orderIndex\`: the phase, a whole number from 0. A step starts only after all steps with a lower orderIndex are
  completed or skipped; steps with the same orderIndex run in parallel, unless dependsOn holds one of them back. A
  dependency never has a higher orderIndex than the step that depends on it.`

const howToSubmit = `\
All at once, as one JSON array. This is the best way: either every step is added or none. A step may have a \`key\`, any
word you like, by which other steps of the same batch name it in \`dependsOn\`, next to ids of steps that exist already.
An example of the form:`

const batchExample = `makima directive batch-add-steps --json '[
  {
    "key": "format",
    "name": "Describe the export format",
    "description": "docs/export.md defines every column. Accepted when each field of src/invoice.js has a row.",
    "taskPlan": "Read src/invoice.js. Write docs/export.md: one table row for each field, in source order.",
    "dependsOn": [],
    "orderIndex": 0
  },
  {
    "key": "writer",
    "name": "Write invoices as CSV",
    "description": "src/csv.js exports toCsv(invoices). Accepted when npm test passes with the new tests.",
    "taskPlan": "Follow docs/export.md. Add src/csv.js in the style of src/json.js, and test/csv.test.js.\\nRun npm test.",
    "dependsOn": ["format"],
    "orderIndex": 1
  },
  {
    "key": "reader",
    "name": "Read invoices from CSV",
    "description": "src/parse.js exports fromCsv(text). Accepted when npm test passes with the new tests.",
    "taskPlan": "Follow docs/export.md. Add src/parse.js and test/parse.test.js, with bad rows too. Run npm test.",
    "dependsOn": ["format"],
    "orderIndex": 1
  },
  {
    "name": "Check that exports survive a round trip",
    "description": "Accepted when a test writes invoices, reads them back and finds them equal.",
    "taskPlan": "Add test/roundtrip.test.js, which uses toCsv of src/csv.js and fromCsv of src/parse.js.",
    "dependsOn": ["writer", "reader"],
    "orderIndex": 2
  }
]'`

const orOneByOne = `\
Inside the quotes write an apostrophe as \`\\u0027\` and a line break in a text as \`\\n\`. Keep one command under 100 kB;
a longer plan goes in several batches, in which later ones name the steps of earlier ones by their ids.

Or one by one, in the form
\`makima directive add-step "<name>" --description "…" --task-plan "…" --depends-on <id>,<id> --order-index N\`,
where each id is one that an earlier command printed (leave \`--depends-on\` out where there is none):`

const singleExample = `makima directive add-step "Describe the export format" \\
  --description "docs/export.md defines every column. Accepted when each field of src/invoice.js has a row." \\
  --task-plan "Read src/invoice.js. Write docs/export.md: one table row for each field, in source order." \\
  --order-index 0`

const refused = `\
Both print the ids of the steps they added, and need no further options: the environment says which directive it is. A
plan with an unknown dependency, a cycle or an empty name is refused with the place named: correct it and submit again.
If you cannot plan this goal, say why and exit with a non-zero status.`

const howWorkPasses = `\
Each step is carried out in a git worktree of its own. A step without dependencies starts from the base branch. A step
with dependencies continues from the first one in its dependsOn: from that step's worktree, with everything committed
and uncommitted in it. The branches of its further dependencies are merged in before its work begins. So a step has the
files of the steps it depends on, directly or through others, and of no other step: where it needs the work of two
steps, name both. A lower orderIndex alone only makes it wait.`
