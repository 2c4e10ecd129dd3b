/** What is wrong before anything is started: one line on standard error that says what and where, status 2, no trace. */
import { assert, describe, it } from "@effect/vitest"
import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll } from "vitest"
import { lines, makima, makimaHere, processes, temporary } from "../support/cli.ts"
import { git, repositoryIn } from "../support/repository.ts"

const folder = temporary()

beforeAll(() => {
  repositoryIn(folder)
  mkdirSync(join(folder, "plain"))
  mkdirSync(join(folder, "empty"))
  git(join(folder, "empty"), "init", "--quiet")
})

let files = 0
const written = (directive: string): string => {
  const file = join(folder, `${++files}.json`)
  writeFileSync(file, directive)
  return file
}

interface Case {
  readonly args: ReadonlyArray<string>
  readonly expected: string | RegExp
  readonly env?: Record<string, string>
}

const refuses = async ({ args, env, expected }: Case) => {
  const { status, stderr, stdout } = await makimaHere(args, { MAKIMA_DATA_DIR: join(folder, "data"), ...env })
  assert.deepStrictEqual([lines(stderr).length, stdout, status], [1, "", 2], stderr)
  if (typeof expected === "string") assert.strictEqual(stderr, `makima: ${expected}\n`)
  else assert.match(stderr, expected)
}

const unknown = "00000000-0000-4000-8000-000000000000"
const agent = "touch started"
const directive = (fields: object) => JSON.stringify({ title: "T", goal: "G", agent, ...fields })
const valid = directive({ steps: [{ name: "Do it" }] })

describe("makima run refuses", () => {
  it.each<[what: string, directive: string, expected: string | RegExp]>([
    ["an empty file", "", "FILE: is not JSON: Unexpected end of JSON input"],
    ["what is not JSON", `{\n  "title": "T",\n  goal: 1\n}`, /: is not JSON: .*\(line 3 column 3\)\n$/],
    ["JSON that is no object", "[]", "FILE: Expected object"],
    ["a file without a title", `{"goal": "G", "agent": "true"}`, "FILE: title: is missing"],
    ["a title of spaces", directive({ title: "  " }), "FILE: title: is empty"],
    ["a title that is a number", directive({ title: 5 }), "FILE: title: Expected string"],
    ["a flag that is a text", directive({ memoryEnabled: "yes" }), "FILE: memoryEnabled: Expected boolean"],
    ["an unknown field", directive({ colour: "red" }), "FILE: colour: is not a field that is known here"],
    ["a file without an agent", `{"title": "T", "goal": "G"}`, /: no agent: set "agent", or give --agent/],
    ["an agent of spaces", directive({ agent: " " }), "FILE: agent: is empty"],
    ["a base branch that git would not take", directive({ baseBranch: "a..b" }), /: baseBranch: is not a name/],
    ["steps that are no list", directive({ steps: {} }), "FILE: steps: Expected array"],
    [
      "an unknown field of a step",
      directive({ steps: [{ name: "A" }, { name: "B", colour: 1 }] }),
      "FILE: steps[1].colour: is not a field that is known here"
    ],
    ["a step without a name", directive({ steps: [{ name: "" }] }), "FILE: steps[0].name: is empty"],
    ["a long name", directive({ steps: [{ name: "x".repeat(201) }] }), /: steps\[0\].name: is longer than 200/],
    ["a negative orderIndex", directive({ steps: [{ name: "A", orderIndex: -1 }] }), /orderIndex: -1 is negative/],
    [
      "a cycle",
      directive({ steps: [{ key: "a", name: "A", dependsOn: ["b"] }, { key: "b", name: "B", dependsOn: ["a"] }] }),
      "FILE: steps[0].dependsOn: a cycle: a → b → a"
    ],
    [
      "an unknown dependency",
      directive({ steps: [{ name: "A" }, { name: "B", dependsOn: ["c"] }] }),
      /: steps\[1\].dependsOn\[0\]: "c" is neither the key of a step in this batch nor the id of a step\n$/
    ],
    [
      "a dependency that comes later",
      directive({ steps: [{ key: "a", name: "A", orderIndex: 2 }, { name: "B", dependsOn: ["a"], orderIndex: 1 }] }),
      /: steps\[1\].dependsOn\[0\]: the step it names has orderIndex 2, higher than its own 1\n$/
    ],
    ["a repository that is not there", directive({ repositoryUrl: "gone" }), /repository gone: there is nothing at/],
    ["a folder that is not git", directive({ repositoryUrl: "plain" }), /\/plain is not a git repository\n$/],
    ["a file that is not git", directive({ repositoryUrl: "repository/README" }), /README is not a folder\n$/],
    [
      "an empty repository",
      directive({ repositoryUrl: "empty" }),
      /repository empty: it is empty: make a first commit/
    ],
    [
      "a repository without the base branch",
      directive({ repositoryUrl: "repository", baseBranch: "trunk" }),
      "FILE: repository repository: it has no branch trunk; it has main"
    ],
    [
      "a URL without the base branch",
      directive({ repositoryUrl: `file://${folder}/origin.git`, baseBranch: "trunk" }),
      /: it has no branch trunk\n$/
    ],
    ["a URL that leads nowhere", directive({ repositoryUrl: "file:///gone.git" }), /does not appear to be a git rep/],
    ["a host that does not answer", directive({ repositoryUrl: "http://127.0.0.1:1/x.git" }), /127\.0\.0\.1:1\/x\.git/],
    [
      "a URL with a password, without showing it",
      directive({ repositoryUrl: "http://me:secret@127.0.0.1:1/x.git" }),
      /repository http:\/\/127\.0\.0\.1:1\/x\.git: (?!.*secret)/
    ],
    ["a repository that is an option", directive({ repositoryUrl: "--upload-pack=x" }), /: begins with a dash/],
    ["a command for a repository", directive({ repositoryUrl: "ext::sh -c id" }), /transport 'ext' not allowed/],
    ["a template that is not there", directive({ repositoryUrl: "template:gone" }), /gone: there is no such folder/],
    ["an empty template", directive({ repositoryUrl: "template:plain" }), /plain: the folder is empty/]
  ])("%s", (_, directive, expected) => {
    const file = written(directive)
    return refuses({
      args: ["run", file],
      expected: typeof expected === "string" ? expected.replace("FILE", file) : expected
    })
  })

  it("a file that is not there", () =>
    refuses({ args: ["run", "gone.json"], expected: "gone.json: there is no such file" }))

  it("a folder", () => refuses({ args: ["run", folder], expected: `${folder}: is a folder` }))
})

describe("the command line refuses", () => {
  it.each<[command: string, expected: string | RegExp]>([
    ["run", /Missing required argument: directive\.json \(see makima run --help\)/],
    ["run FILE more", /Unexpected positional argument: "more"/],
    ["run FILE --max-tasks 0", `--max-tasks: 0 is not at least 1 (see makima run --help)`],
    ["run FILE --max-tasks many", /^makima: --max-tasks: .*"many"/],
    ["run FILE --grace-seconds -1", /^makima: --grace-seconds: .*greater than 0.*"-1"/],
    ["run FILE --database-url http://localhost/x", /^makima: --database-url: /],
    ["run FILE --colour", /Unrecognized flag: --colour/],
    ["fly", /Unknown subcommand "fly"/],
    ["directive fly", /Unknown subcommand "fly" for "makima directive"/],
    ["directive show 17", /^makima: <directive-id>: Expected a UUID, not "17"/],
    ["directive list --limit 0", /^makima: --limit: /],
    ["log --from -1", /^makima: --from: /],
    ["log --type Nope", "--type: there is no type of events \"Nope\" (see makima log --help)"],
    [
      "log --type stepfailed",
      /^makima: --type: there is no type of events "stepfailed"\. Did you mean StepFailed\? \(see/
    ],
    ["log 17", /^makima: <directive-id>: Expected a UUID, not "17"/],
    ["directive list --status odd", /^makima: --status: Expected "draft" \| .*, not "odd"/],
    ["log", /^makima: there is no log in .*data: give --data-dir or --database-url, or set /],
    ["log verify", /^makima: there is no log in /],
    ["log export --all", /^makima: there is no log in /],
    [`log remove ${unknown} --export gone`, /^makima: there is no log in /],
    [`why ${unknown}`, /^makima: there is no log in /],
    [`replay ${unknown}`, /^makima: there is no log in /],
    ["rebuild", /^makima: there is no log in /],
    ["keys create EMPTY", "<name>: is empty (see makima keys create --help)"],
    ["keys create --owner EMPTY", "--owner: is empty (see makima keys create --help)"],
    ["simulate --seed", /^makima: --seed: it needs a value, integer \(see/],
    ["simulate --profile", /^makima: --profile: it needs a value, calm \| rough \| /],
    ["simulate --mintues 3", /Unrecognized flag: --mintues in command makima simulate\. Did you mean --minutes \(see/],
    ["directive list --api-url odd", /^makima: --api-url: it, or MAKIMA_API_URL, is not a URL like .*: odd \(see/],
    ["daemon --agent true --api-key k --api-url http://127.0.0.1:1,odd", /^makima: --api-url: .*:1,odd \(see/],
    ["daemon --agent true --api-key k --api-url ,", /^makima: --api-url: .*: , \(see/],
    ["daemon --agent true", /no API key: give --api-key, or set MAKIMA_API_KEY/],
    ["daemons", /no API key: give --api-key, or set MAKIMA_API_KEY/],
    ["directive list", /no API key: give --api-key, or set MAKIMA_API_KEY/]
  ])("makima %s", (command, expected) => {
    const file = written(valid)
    return refuses({
      args: command.split(" ").map((word) => word.replace("FILE", file).replace("EMPTY", " ")),
      expected
    })
  })

  it.each<[name: string, value: string, expected: string | RegExp]>([
    ["MAKIMA_PORT", "abc", `MAKIMA_PORT: Expected a finite number, not "abc" (see makima serve --help)`],
    ["MAKIMA_PORT", "70000", /^makima: MAKIMA_PORT: .*"70000"/],
    ["MAKIMA_GRACE_SECONDS", "x", /^makima: MAKIMA_GRACE_SECONDS: .*"x"/],
    ["MAKIMA_RECONCILE_SECONDS", "0", /^makima: MAKIMA_RECONCILE_SECONDS: .*greater than 0.*"0"/],
    ["MAKIMA_HAND_OVERS", "1.5", /^makima: MAKIMA_HAND_OVERS: Expected an integer, not "1\.5"/],
    [
      "MAKIMA_DATABASE_URL",
      "mysql://user:secret@host/x",
      /^makima: --database-url: it, or MAKIMA_DATABASE_URL, is not a URL like (?!.*secret)/
    ]
  ])("%s=%s", (name, value, expected) => refuses({ args: ["serve"], env: { [name]: value }, expected }))
})

describe("makima, as a process,", () => {
  const olderNode = "data:text/javascript,Object.defineProperty(process,%22version%22,{value:%22v20.1.0%22})"
  const whole = directive({ steps: [{ key: "a", name: "A", dependsOn: ["a"] }] })

  it.concurrent.each<[what: string, args: ReadonlyArray<string>, env: Record<string, string>, expected: RegExp]>([
    ["a directive file", ["run", written(whole)], {}, /\.json: steps\[0\]\.dependsOn/],
    ["a command line", ["fly"], {}, /Unknown subcommand "fly"/],
    ["an old Node", ["--version"], { NODE_OPTIONS: `--import ${olderNode}` }, /needs Node 22\.19 .* this is v20\.1\.0/],
    [
      "a server",
      ["directive", "list"],
      { MAKIMA_API_URL: "odd" },
      /--api-url: it, or MAKIMA_API_URL, is not a URL.*: odd/
    ],
    ["an environment", ["serve"], { MAKIMA_PORT: "abc" }, /MAKIMA_PORT: Expected a finite number, not "abc"/]
  ])("refuses %s", async (_, args, env, expected) => {
    const { status, stderr, stdout } = await makima(args, { cwd: folder, env })
    assert.deepStrictEqual([lines(stderr).length, stdout, status], [1, "", 2], stderr)
    assert.match(stderr, expected)
  })

  it("has started nothing and made nothing", () => {
    assert.deepStrictEqual(processes(), [])
    const made = readdirSync(folder).filter((name) => !/^(\d+\.json|repository|origin\.git|plain|empty)$/.test(name))
    assert.deepStrictEqual(made, [])
  })
})
