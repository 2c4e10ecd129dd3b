/** How a run ends that does not go well: said in one place, with the reason, and with status 1. */
import { assert, describe, it } from "@effect/vitest"
import { agent, directiveFile, jsonLines, lines, makima, patience, step, temporary } from "../support/cli.ts"
import { useDatabase } from "../support/makimaDatabase.ts"
import { repositoryIn } from "../support/repository.ts"

const database = useDatabase()

/** Runs a directive with a repository, to its bad end. */
const fails = async (fields: object, args: ReadonlyArray<string> = []) => {
  const folder = temporary()
  repositoryIn(folder)
  const file = directiveFile(folder, { repositoryUrl: "repository", ...fields })
  const { status, stderr, stdout } = await makima(["run", file, "--json", ...args], { cwd: folder, env: database() })
  const printed = jsonLines(stdout)
  assert.strictEqual(status, 1, stderr)
  const count = (type: string, kind?: string) =>
    printed.filter((line) => line.type === type && (kind === undefined || line.event.kind === kind)).length
  return { stderr, last: lines(stderr).at(-1), summary: printed.at(-1), count }
}

describe.concurrent("makima run", { timeout: patience }, () => {
  it("is stalled by a failed step, says what that holds up, and goes on beside it", async () => {
    const scripts = agent({
      Bad: `seq 1 5000; echo 'cannot find the thing' >&2; exit 3`,
      "Bad too": "kill -9 $$"
    })
    const { last, stderr, summary } = await fails({
      agent: scripts,
      steps: [
        step("Bad"),
        step("Good"),
        step("Bad too"),
        step("After bad", { dependsOn: ["Bad"] }),
        step("After good", { dependsOn: ["Good"] }),
        step("After all", { orderIndex: 1 })
      ]
    })
    assert.strictEqual(summary.status, "stalled")
    assert.deepStrictEqual(summary.steps.map(({ status }: { status: string }) => status), [
      "failed",
      "completed",
      "failed",
      "pending",
      "completed",
      "pending"
    ])
    assert.strictEqual(
      last,
      `makima: the directive is stalled: "Bad" failed (agent exited with status 3: cannot find the thing), ` +
        `"Bad too" failed (agent was ended by SIGKILL); 2 steps wait for them: "After bad", "After all"`
    )
    assert.isTrue(lines(stderr).every((line) => line.length < 300), "no line is long")
  })

  it("fails a task whose agent is no command, with that reason", async () => {
    const { last } = await fails({ agent: "no-such-agent --now", steps: [step("Do it")] })
    assert.match(last!, /"Do it" failed \(agent exited with status 127: the command "no-such-agent" was not found/)
  })

  it("is paused by a failed plan, with the reason", async () => {
    const { count, last, summary } = await fails({ agent: "echo 'no idea'; exit 5" })
    assert.deepStrictEqual([summary.status, count("TaskCreated")], ["paused", 1])
    assert.match(last!, /^makima: the directive is paused: .*agent exited with status 5: no idea$/)
  })

  it("is paused by a plan that adds nothing", async () => {
    const { count, last, summary } = await fails({ agent: "true" })
    assert.deepStrictEqual([summary.status, count("TaskCreated")], ["paused", 1])
    assert.match(last!, /^makima: the directive is paused: .*no steps/)
  })

  it("tries a pull request again after a while, and needs attention in the end", async () => {
    const { count, last, stderr, summary } = await fails({
      agent: agent({ complete: `echo 'remote: denied'; exit 1` }),
      steps: [step("Do it")]
    }, ["--completion-delay-seconds", "0.2", "--completion-attempts", "3"])
    assert.deepStrictEqual([summary.status, count("TaskCreated", "completion")], ["idle", 3])
    assert.deepStrictEqual([count("CompletionDelayed"), count("AttentionNeeded")], [2, 1])
    assert.match(stderr, /attempt 1 failed, trying again/)
    assert.match(last!, /^makima: the directive needs attention: .*remote: denied$/)
  })
})
