/**
 * An agent that does what its prompt says, to the letter. It stands where a model would stand: makima starts it in a
 * git worktree with the prompt on standard input, and its exit status says whether the task succeeded.
 *
 * It imports nothing of makima and knows only its prompts, so a run proves that following them is enough.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { delimiter, dirname, isAbsolute, join, relative, resolve } from "node:path"
import process, { env } from "node:process"
import { text } from "node:stream/consumers"
import { setTimeout } from "node:timers/promises"
import { firstPlan, nextPlan } from "./plan.ts"

const say = (line: string) => process.stdout.write(`${line}\n`)

type Sections = ReadonlyMap<string, string>

/** The sections of a prompt by heading. What others wrote never begins a line with `# `, so this is all it takes. */
const sectionsOf = (prompt: string): Sections =>
  new Map(
    prompt.split(/^# /m).slice(1).map((section) => {
      const [heading = "", ...rest] = section.split("\n")
      return [heading, rest.join("\n")]
    })
  )

const sectionOf = (sections: Sections, heading: string): string => {
  const section = sections.get(heading)
  if (section === undefined) throw new Error(`the prompt has no section "${heading}"`)
  return section
}

/** The lines that are quoted in a section, without their marks. */
const quotedIn = (section: string): string =>
  section.split("\n").filter((line) => line.startsWith(">")).map((line) => line.replace(/^> ?/, "")).join("\n")

interface Block {
  /** The line before the block. */
  readonly label: string
  readonly language: string
  readonly content: string
}

const blocksIn = (section: string): ReadonlyArray<Block> =>
  [...section.matchAll(/^(?:(.+)\n\n)?(`{3,})(\w*)\n([^]*?)\n\2$/gm)].map(
    ([, label = "", , language = "", content = ""]) => ({ label, language, content })
  )

const shellBlockIn = (section: string): string => {
  const block = blocksIn(section).find(({ language }) => language === "sh")
  if (block === undefined) throw new Error("the prompt shows no command")
  return block.content
}

/** Commits that a merge makes need an author; whatever the environment says wins. */
const identity = {
  GIT_AUTHOR_NAME: "Hello",
  GIT_AUTHOR_EMAIL: "hello@example.invalid",
  GIT_COMMITTER_NAME: "Hello",
  GIT_COMMITTER_EMAIL: "hello@example.invalid"
}

const run = (script: string, more: Record<string, string> = {}) => {
  for (const line of script.split("\n").filter((line) => /^(git|gh|makima|node) /.test(line))) {
    say(`$ ${line.slice(0, 120)}`)
  }
  const { status } = spawnSync("sh", ["-e", "-c", script], {
    env: { ...identity, ...env, ...more },
    stdio: ["ignore", "inherit", "inherit"]
  })
  if (status !== 0) throw new Error(`a command ended with status ${status}`)
}

/** Submits the plan by the very command that the prompt shows, with its example replaced. */
const plan = (sections: Sections) => {
  const goal = quotedIn(sectionOf(sections, "Directive to plan"))
  const steps = env.HELLO_PLAN === "empty" ? [] : planFor(sections, goal)
  say(`Planning ${steps.length} steps for: ${goal.split("\n")[0]}`)
  if (steps.length === 0) return

  const [, command = "", example = "", rest = ""] =
    /^([^']*)'([^']*)'([^]*)$/.exec(shellBlockIn(sectionOf(sections, "How to submit"))) ?? []
  const shown: ReadonlyArray<object> = JSON.parse(example)
  const known = new Set(shown.flatMap(Object.keys))
  const unknown = steps.flatMap((step) => Object.keys(step)).find((field) => !known.has(field))
  if (unknown !== undefined) throw new Error(`the prompt's example has no "${unknown}"`)
  for (const { name, orderIndex } of steps) say(`  ${orderIndex}  ${name}`)
  run(`${command}'${JSON.stringify(steps).replaceAll("'", "\\u0027")}'${rest}`)
}

const planFor = (sections: Sections, goal: string) => {
  const existing = sections.get("Existing steps")
  if (existing === undefined) return firstPlan
  const [, generation] = /are generation (\d+)/.exec(existing) ?? []
  const steps = [...existing.matchAll(/^- (\S+) \[(\w+)(?:, orderIndex (\d+))?\]/gm)]
  const done = steps.findLast(([, , status]) => status === "completed")
  const last = Math.max(0, ...steps.map(([, , , orderIndex]) => Number(orderIndex ?? 100)))
  return nextPlan(Number(generation), goal, done === undefined ? [] : [done[1]!], last + 1)
}

/** Merges if the prompt says so, then goes through the instructions: files to write, commands to run. */
const carryOut = (sections: Sections) => {
  const merge = sections.get("Merge first")
  if (merge !== undefined) run(shellBlockIn(merge))

  const steps = blocksIn(quotedIn(sectionOf(sections, "Instructions")))
  if (steps.length === 0) throw new Error("these instructions leave it to me what to do, and I cannot think")
  for (const { content, label, language } of steps) {
    const [, path] = /^Write `(.+)`:$/.exec(label) ?? []
    if (path !== undefined) write(path, content)
    else if (language === "sh") run(content)
    else throw new Error(`I don't know what to do with the block after "${label}"`)
  }
}

const write = (path: string, content: string) => {
  const inside = relative(process.cwd(), resolve(path))
  if (inside.startsWith("..") || isAbsolute(inside)) throw new Error(`${path} is outside of the worktree`)
  say(`Writing ${path}`)
  mkdirSync(dirname(inside), { recursive: true })
  writeFileSync(inside, `${content}\n`)
}

/** Runs the commands as they are. Only `gh` is a stand-in, since there is no GitHub to talk to. */
const complete = (sections: Sections) =>
  run(shellBlockIn(sectionOf(sections, "Commands")), {
    PATH: `${join(import.meta.dirname, "bin")}${delimiter}${env.PATH}`
  })

const main = async (prompt: string) => {
  const sections = sectionsOf(prompt)
  const [, step] = /^Step: (.*)$/m.exec(sections.get("Step to carry out") ?? "") ?? []
  const [task, work] = sections.has("Directive to plan")
    ? ["planning", plan] as const
    : step !== undefined
    ? [`step:${step}`, carryOut] as const
    : ["completion", complete] as const

  await setTimeout(Number(env.HELLO_PAUSE_MS ?? 300))
  if (env.HELLO_FAIL === task) throw new Error(`told to fail by HELLO_FAIL=${task}`)
  work(sections)
  say("Done.")
}

try {
  await main(await text(process.stdin))
} catch (error) {
  process.stderr.write(`Failed: ${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
