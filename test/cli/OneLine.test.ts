import { assert, describe, it } from "@effect/vitest"
import { displayWidth } from "effect/cli/CliOutput"
import { briefly, clean, cut, duration, fit, linesOf } from "../../src/cli/OneLine.ts"

describe("a line", () => {
  it.each([
    ["a\u001b[31mb", "a [31mb"],
    ["a\r\nb\tc", "a b c"],
    ["\u202eevil\u200b", "evil"],
    ["half a \ud83e fox", "half a   fox"],
    ["naïve 🦊 名前", "naïve 🦊 名前"]
  ])("cleans %j", (text, expected) => assert.strictEqual(clean(text), expected))

  it.each([
    ["", ""],
    ["one", "one"],
    ["agent exited with status 1\n\nnoise\n  it broke  \n\n", "agent exited with status 1: it broke"],
    [`x\n${"y".repeat(500)}`, `x: ${"y".repeat(156)}…`]
  ])("says %j briefly", (reason, expected) => assert.strictEqual(briefly(reason), expected))

  it("splits a text into lines that say something", () => {
    assert.deepStrictEqual(linesOf("a\r\n\n \u001b\nb\rc"), ["a", "b", "c"])
  })

  it.each([
    [-5, "0.0 s"],
    [949, "0.9 s"],
    [59_900, "59.9 s"],
    [59_960, "1:00"],
    [3_599_400, "59:59"],
    [3_725_000, "1:02:05"]
  ])("writes %i ms as %s", (millis, expected) => assert.strictEqual(duration(millis), expected))

  it("is cut to a width, however wide its characters are, and never within an escape sequence", () => {
    assert.strictEqual(cut("short", 5), "short")
    assert.strictEqual(cut("longer", 5), "long…")
    assert.strictEqual(cut("名前がとても", 5), "名前…")
    assert.strictEqual(cut("\u001b[31mlonger\u001b[0m", 5), "\u001b[31mlong…\u001b[0m")
    for (const text of ["x", "名前が", "名前がとても長い"]) assert.strictEqual(displayWidth(fit(text, 6)), 6)
  })
})
