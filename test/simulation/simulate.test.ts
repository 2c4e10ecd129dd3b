import { assert, describe, it } from "@effect/vitest"
import { jsonLines, lines, makimaHere, start } from "../support/cli.ts"

describe("makima simulate", () => {
  it("says what it ran and what was never reached", async () => {
    const { status, stderr, stdout } = await makimaHere(["simulate", "--seed", "1", "--runs", "2", "--profile", "calm"])
    assert.strictEqual(status, 0)
    assert.match(
      lines(stdout)[0]!,
      /^Profile calm, from seed 1 on: 2 runs, [\d.]+ seeds\/s, [\d.]+ virtual hours \([\d.]+ a second\)$/
    )
    assert.match(stdout, /^Reached \d+ of \d+ types of events, changes of status, faults and operations$/m)
    assert.match(stdout, /^Never reached: .*event DaemonLost/m)
    assert.strictEqual(stderr, "")
  })

  it("gives the same as JSON", async () => {
    const { status, stdout } = await makimaHere(["simulate", "--seed", "7", "--runs", "1", "--json"])
    assert.strictEqual(status, 0)
    const [document] = jsonLines(stdout)
    assert.include(document, { profile: "rough", firstSeed: 7, runs: 1, failure: null })
    assert.isAbove(document.virtualHours, 0.5)
    assert.isAbove(document.reached["event StepCompleted"], 0)
    assert.isArray(document.missed)
  })

  it("makes a first seed from the date and prints it", async () => {
    const { status, stderr, stdout } = await makimaHere(["simulate", "--runs", "1", "--profile", "calm"])
    assert.strictEqual(status, 0)
    const [, seed] = /^The first seed is (\d+)$/m.exec(stderr) ?? []
    assert.include(stdout, `from seed ${seed} on`)
  })

  it("says what it ran when it is stopped", async () => {
    const process = start(["simulate", "--runs", "100000", "--profile", "calm"])
    const [, seed] = await process.says(/The first seed is (\d+)\n/)
    process.kill("SIGINT")
    const { status, stderr, stdout } = await process.ended
    assert.deepStrictEqual([status, stdout], [130, ""])
    assert.match(
      stderr,
      new RegExp(`makima: stopped\\. Profile calm, from seed ${seed} on: \\d+ runs, .*; none failed\\n$`)
    )
  })

  it("stops when its time is over", async () => {
    const { status, stdout } = await makimaHere(["simulate", "--seed", "1", "--minutes", "0.001", "--profile", "calm"])
    assert.strictEqual(status, 0)
    assert.match(stdout, /^Profile calm, from seed 1 on: \d+ runs/)
  })

  for (
    const [args, complaint] of [
      [["--profile", "stormy"], "--profile"],
      [["--runs", "0"], "--runs"],
      [["--minutes", "-1"], "--minutes"],
      [["--seed", "-1"], "--seed"],
      [["--runs", "1", "--minutes", "1"], "--runs and --minutes"],
      [["--seed", "9007199254740991", "--runs", "3"], "3 runs from seed 9007199254740991 on go past the last seed"]
    ] as const
  ) {
    it(`refuses ${args.join(" ")} in one line`, async () => {
      const { status, stderr, stdout } = await makimaHere(["simulate", ...args])
      assert.strictEqual(status, 2)
      assert.strictEqual(stdout, "")
      assert.lengthOf(lines(stderr), 1)
      assert.include(stderr, complaint)
    })
  }
})
