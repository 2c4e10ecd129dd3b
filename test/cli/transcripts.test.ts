/** `makima log export`, `import` and `verify` as people use them, from one database to another. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll } from "vitest"
import type { EventLog } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import * as Database from "../../src/postgres/Database.ts"
import { jsonLines, lines, makima, makimaHere, temporary } from "../support/cli.ts"
import { makeDatabase, useDatabase } from "../support/makimaDatabase.ts"
import { lives, settled, write } from "../transcript/transcripts.ts"

const source = useDatabase()
const folder = temporary()
const directiveId = lives[1]!.append.stream.slice("directive-".length)

const inLog = <A, E>(env: Record<string, string>, effect: Effect.Effect<A, E, EventLog>): Promise<A> => {
  const url = Redacted.make(env["MAKIMA_DATABASE_URL"]!)
  const log = PostgresEventLog.layer.pipe(Layer.provide(Database.layerClient({ url })))
  return Effect.runPromise(effect.pipe(Effect.provide(log)))
}

beforeAll(() => inLog(source(), write(lives)))

const succeed = async (env: Record<string, string>, ...args: ReadonlyArray<string>): Promise<string> => {
  const { status, stderr, stdout } = await makimaHere(["log", ...args], env)
  assert.deepStrictEqual([status, stderr], [0, ""], `makima log ${args.join(" ")}: ${stderr}`)
  return stdout
}

const refusal = async (env: Record<string, string>, ...args: ReadonlyArray<string>): Promise<string> => {
  const { status, stderr, stdout } = await makimaHere(["log", ...args], env)
  assert.deepStrictEqual([status, stdout, lines(stderr).length], [1, "", 1], stderr)
  return stderr
}

describe("makima log", () => {
  it("still shows events beside its commands", async () => {
    assert.isNotEmpty(lines(await succeed(source(), directiveId)))
    assert.isNotEmpty(lines(await succeed(source())))
  })

  it("exports to a file that another store imports, which then exports the same bytes", async () => {
    const file = join(folder, "all.jsonl")
    const target = await makeDatabase()
    const said = await succeed(source(), "export", "--all", "--out", file)
    assert.match(said, /all\.jsonl: \d+ events in 5 streams; digest [0-9a-f]{64}\n$/)
    assert.match(await succeed(target, "import", file), /^Imported \d+ events in 5 streams\n$/)
    assert.strictEqual(await succeed(target, "export", "--all"), readFileSync(file, "utf8"))
    const [ofSource, ofTarget] = [await succeed(source(), "verify"), await succeed(target, "verify")]
    assert.match(ofSource, /^\d+ events in 5 streams; all heads [0-9a-f]{64}\n$/)
    assert.strictEqual(ofTarget, ofSource)
    assert.include(await succeed({}, "verify", file), ofSource.replace(/.*(all heads)/, "$1"))
    assert.match(await refusal(target, "import", file), /this log has events already, up to position \d+.*--data-dir/)
  })

  it("exports a directive, or what an owner has", async () => {
    const [one, owned, all] = await Promise.all([
      succeed(source(), "export", directiveId),
      succeed(source(), "export", "--owner", "ada"),
      succeed(source(), "export", "--all")
    ])
    const streams = (text: string) => new Set(jsonLines(text).slice(1, -1).map(({ stream }) => stream)).size
    assert.deepStrictEqual([streams(one), streams(owned), streams(all)], [1, 3, 5])
    assert.strictEqual(jsonLines(one)[0].contents.directiveId, directiveId)
    const log = lines(await succeed(source(), directiveId))
    assert.strictEqual(lines(one).length, log.length + 2)
  })

  it("has no text in a redacted export, which verifies and is not imported", async () => {
    const file = join(folder, "redacted.jsonl")
    await succeed(source(), "export", "--all", "--redact", "--out", file)
    const text = readFileSync(file, "utf8")
    for (const word of ["Invoices", "quotes", "machine of"]) assert.notInclude(text, word)
    const all = await succeed(source(), "verify", "--json")
    const verified = JSON.parse(await succeed({}, "verify", file, "--json"))
    assert.deepStrictEqual([verified.opening.texts, verified.heads], ["redacted", JSON.parse(all).heads])
    assert.match(
      await refusal(await makeDatabase(), "import", file),
      /redacted\.jsonl: its texts are redacted: it can be verified/
    )
  })

  it("imports nothing from an export that is broken, and says where it is", async () => {
    const good = lines(await succeed(source(), "export", "--all"))
    const empty = await makeDatabase()
    const broken = join(folder, "broken.jsonl")
    const say = async (changed: ReadonlyArray<string>) => {
      writeFileSync(broken, changed.map((line) => `${line}\n`).join(""))
      const said = await refusal({}, "verify", broken)
      assert.strictEqual(await refusal(empty, "import", broken), said)
      return said
    }
    assert.match(
      await say(good.with(3, good[3]!.replace("lostAt\":1", "lostAt\":2"))),
      /broken\.jsonl: line 4 \(daemons/
    )
    assert.match(await say(good.toSpliced(6, 1)), /broken\.jsonl: line 7 \(.*expected line 7, found what was .* line 8/)
    assert.match(await say(good.slice(0, -1)), /expected an event or the closing line, found the end of the file/)
    assert.match(await succeed(empty, "verify"), /^0 events in 0 streams/)
  })

  it.each<[what: string, args: ReadonlyArray<string>, status: number, says: RegExp]>([
    ["nothing to export", ["export"], 2, /say what to export/],
    ["too much to export", ["export", directiveId, "--all"], 2, /only one of them/],
    [
      "a directive that is not there",
      ["export", "00000000-0000-4000-8000-000000000000"],
      1,
      /there is no directive 0{8}/
    ],
    ["an owner that is not there", ["export", "--owner", "nobody"], 1, /nothing of owner "nobody"/],
    [
      "a folder that is not there",
      ["export", "--all", "--out", join(folder, "no/file")],
      1,
      /there is no folder for .*no\/file/
    ],
    ["a file that is not there", ["verify", join(folder, "nothing")], 1, /there is no file/],
    ["a file that is something else", ["verify", import.meta.filename], 1, /line 1: expected a line of JSON/]
  ])("answers %s with one line", async (_, args, status, says) => {
    const ended = await makimaHere(["log", ...args], source())
    assert.deepStrictEqual([ended.status, ended.stdout, lines(ended.stderr).length], [status, "", 1], ended.stderr)
    assert.match(ended.stderr, says)
  })

  it("removes an archived directive once its history is in a file, and keeps its last hash", async () => {
    const file = join(folder, "removed.jsonl")
    const env = await makeDatabase()
    await inLog(env, write(lives))
    assert.match(
      await refusal(env, "remove", directiveId, "--export", file),
      /cannot be removed: it is (?!archived)\w+/
    )
    assert.isFalse(existsSync(file))
    await inLog(env, settled(lives[1]!.append.stream))
    assert.match(
      await refusal(env, "remove", directiveId, "--export", join(folder, "no", "file")),
      /there is no folder for .*no\/file/
    )
    const count = lines(await succeed(env, directiveId)).length
    assert.strictEqual(
      await succeed(env, "remove", directiveId, "--export", file),
      `Removed ${count} events of ${directiveId}; ${file} has them\n`
    )
    const { digest } = JSON.parse(await succeed({}, "verify", file, "--json"))
    assert.match(
      await succeed(env, directiveId),
      new RegExp(`@${count + 1} DirectiveRemoved .*exported="${digest.slice(0, 59)}`)
    )
    assert.include(
      await succeed(env, "verify"),
      `directive-${directiveId} was removed at ${new Date().toISOString().slice(0, 10)}`
    )
    assert.match(
      await succeed(env, "remove", directiveId, "--export", file),
      new RegExp(`removed before.*${digest}\n$`)
    )
    const replayed = await makimaHere(["replay", directiveId], env)
    assert.deepStrictEqual([replayed.status, replayed.stdout], [1, ""])
    assert.include(replayed.stderr, `was removed: its history is in the export with the digest ${digest}`)
    assert.match((await makimaHere(["why", directiveId], env)).stdout, /It was removed; its history is in the export/)
    assert.match(
      await succeed(await makeDatabase(), "import", file),
      new RegExp(`^Imported ${count} events in 1 stream\n$`)
    )
  })

  it("writes to the standard output of a process", async () => {
    const { status, stdout } = await makima(["log", "export", "--all"], { env: source() })
    assert.deepStrictEqual([status, stdout], [0, await succeed(source(), "export", "--all")])
  })
})
