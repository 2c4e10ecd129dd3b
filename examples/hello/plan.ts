/**
 * The plan that the example's agent makes: what a good planner would come up with for `directive.json`.
 *
 * A task plan has the form that `agent.ts` can carry out, and that a person or a model can read as well: files to write,
 * then commands that must succeed.
 */

export interface PlannedStep {
  readonly key: string
  readonly name: string
  readonly description: string
  readonly taskPlan: string
  readonly dependsOn: ReadonlyArray<string>
  readonly orderIndex: number
}

/** Files by path, and the check that ends every step of this plan. */
const taskPlan = (introduction: string, files: Record<string, string>): string =>
  [
    introduction,
    ...Object.entries(files).map(([path, content]) => `Write \`${path}\`:\n\n${fenced("", content.trim())}`),
    `Then this must succeed:\n\n${fenced("sh", "node --test")}`
  ].join("\n\n")

const fenced = (language: string, content: string): string => {
  const fence = "`".repeat(Math.max(3, ...(content.match(/`+/g) ?? []).map((run) => run.length + 1)))
  return `${fence}${language}\n${content}\n${fence}`
}

const contract: PlannedStep = {
  key: "contract",
  name: "Write the contract of a language",
  description: "contract.mjs says what a language is. Accepted when its test shows that it refuses what is not one.",
  taskPlan: taskPlan(
    "A language has a `code` of two letters, a `name`, and a `greet(name)` that names who is greeted.",
    {
      "contract.mjs": `
/** Throws unless this is a language: { code, name, greet }. */
export const checkLanguage = ({ code, name, greet }) => {
  if (!/^[a-z]{2}$/.test(code)) throw new Error(\`\${code} is not a code of two letters\`)
  if (typeof name !== "string" || name === "") throw new Error(\`\${code} has no name\`)
  if (!greet("Ada").includes("Ada")) throw new Error(\`\${name} doesn't say who it greets\`)
}
`,
      "contract.test.mjs": `
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkLanguage } from "./contract.mjs"

const language = { code: "en", name: "English", greet: (name) => \`Hello, \${name}!\` }

test("takes a language", () => checkLanguage(language))

test("refuses a long code", () => assert.throws(() => checkLanguage({ ...language, code: "eng" }), /two letters/))

test("refuses a greeting for nobody", () =>
  assert.throws(() => checkLanguage({ ...language, greet: () => "Hello!" }), /doesn't say/))
`
    }
  ),
  dependsOn: [],
  orderIndex: 0
}

const language = (code: string, name: string, greeting: string): PlannedStep => {
  const file = name.toLowerCase()
  return {
    key: file,
    name: `Greet in ${name}`,
    description: `languages/${file}.mjs greets in ${name}. Accepted when it passes checkLanguage of contract.mjs.`,
    taskPlan: taskPlan("Other languages are being written at the same time: touch no other file.", {
      [`languages/${file}.mjs`]: `
export const code = "${code}"
export const name = "${name}"
export const greet = (whom) => \`${greeting}, \${whom}!\`
`,
      [`languages/${file}.test.mjs`]: `
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkLanguage } from "../contract.mjs"
import * as ${file} from "./${file}.mjs"

test("${name} keeps the contract", () => checkLanguage(${file}))

test("${name} greets", () => assert.equal(${file}.greet("Ada"), "${greeting}, Ada!"))
`
    }),
    dependsOn: ["contract"],
    orderIndex: 1
  }
}

const index: PlannedStep = {
  key: "index",
  name: "Gather the languages in one index",
  description: "languages/index.mjs has every language by its code. Accepted when all of them keep the contract.",
  taskPlan: taskPlan("The three languages are in `languages/`. Nothing but the index should import them from now on.", {
    "languages/index.mjs": `
import * as english from "./english.mjs"
import * as finnish from "./finnish.mjs"
import * as greek from "./greek.mjs"

/** Every language by its code. */
export const languages = new Map([english, finnish, greek].map((language) => [language.code, language]))
`,
    "languages/index.test.mjs": `
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkLanguage } from "../contract.mjs"
import { languages } from "./index.mjs"

test("knows three languages", () => assert.deepEqual([...languages.keys()], ["en", "fi", "el"]))

test("every language keeps the contract", () => languages.forEach((language) => checkLanguage(language)))
`
  }),
  dependsOn: ["english", "greek", "finnish"],
  orderIndex: 2
}

const program: PlannedStep = {
  key: "program",
  name: "Let the program choose a language",
  description: "hello.mjs takes a language code as its second argument. Accepted when an unknown one is refused.",
  taskPlan: taskPlan("English stays what one gets without asking; the tests of `hello.test.mjs` that exist stay.", {
    "hello.mjs": `
/** Greets whoever is named, in the language asked for: \`node hello.mjs Ada fi\`. */
import { argv, exit, stderr, stdout } from "node:process"
import { languages } from "./languages/index.mjs"

const [name = "world", code = "en"] = argv.slice(2)
const language = languages.get(code)
if (language === undefined) {
  stderr.write(\`Don't know "\${code}", only \${[...languages.keys()].join(", ")}.\\n\`)
  exit(2)
}
stdout.write(\`\${language.greet(name)}\\n\`)
`,
    "hello.test.mjs": `
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { execPath } from "node:process"
import { test } from "node:test"

const hello = (...args) => spawnSync(execPath, ["hello.mjs", ...args], { encoding: "utf8" })

test("greets the world", () => assert.equal(hello().stdout, "Hello, world!\\n"))

test("greets whoever is named", () => assert.equal(hello("Ada").stdout, "Hello, Ada!\\n"))

test("greets in the language asked for", () => assert.equal(hello("Ada", "fi").stdout, "Hei, Ada!\\n"))

test("refuses a language it doesn't know", () => assert.equal(hello("Ada", "xx").status, 2))
`
  }),
  dependsOn: ["index"],
  orderIndex: 3
}

const readme: PlannedStep = {
  key: "readme",
  name: "List the languages in the README",
  description: "README.md names every language with its code. Accepted when a test holds it to the index.",
  taskPlan: taskPlan("The test fails from then on when somebody adds a language and forgets the README.", {
    "README.md": `
# hello

A program that greets, in the language you ask for.

    node hello.mjs Ada
    node hello.mjs Ada el
    node --test

- \`en\` English
- \`fi\` Finnish
- \`el\` Greek
`,
    "readme.test.mjs": `
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { languages } from "./languages/index.mjs"

test("the README lists every language", () => {
  const readme = readFileSync("README.md", "utf8")
  for (const { code, name } of languages.values()) assert.ok(readme.includes(\`- \\\`\${code}\\\` \${name}\`))
})
`
  }),
  dependsOn: ["index"],
  orderIndex: 3
}

/** contract → english, greek, finnish → index → program, readme */
export const firstPlan: ReadonlyArray<PlannedStep> = [
  contract,
  language("en", "English", "Hello"),
  language("el", "Greek", "Γειά σου"),
  language("fi", "Finnish", "Hei"),
  index,
  program,
  readme
]

/** What a changed goal adds: this planner does not understand goals, but it writes them down. */
export const nextPlan = (generation: number, goal: string, after: ReadonlyArray<string>, orderIndex: number) => [
  {
    key: `goal-${generation}`,
    name: `Write down the goal of generation ${generation}`,
    description: `goals/${generation}.md has the goal as it is now. Accepted when the tests still pass.`,
    taskPlan: taskPlan("The goal changed.", { [`goals/${generation}.md`]: goal }),
    dependsOn: after,
    orderIndex
  } satisfies PlannedStep
]
