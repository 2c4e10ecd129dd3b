/**
 * What every released version wrote can still be read, and means what it meant.
 *
 * A state may know more than it did when it was written down; what it said then, it says now.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Schema } from "effect"
import * as Vocabulary from "../../src/events/Vocabulary.ts"
import * as LogLine from "../../src/replay/LogLine.ts"
import * as Golden from "./golden.ts"
import { missing, stories } from "./stories.ts"

/** As much of `now` as there was before. */
const asFar = (now: Schema.Json | undefined, before: Schema.Json): Schema.Json | undefined => {
  if (Array.isArray(now) && Array.isArray(before)) {
    return now.map((item, index) => before[index] === undefined ? item : asFar(item, before[index])!)
  }
  if (!isFields(now) || !isFields(before)) return now
  return Object.fromEntries(
    Object.entries(before).flatMap(([field, value]) => field in now ? [[field, asFar(now[field], value)!]] : [])
  )
}

const isFields = (value: Schema.Json | undefined): value is { readonly [field: string]: Schema.Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

describe("The golden logs", () => {
  it.each(Golden.versions())("of %s can be read and lead to the states that they led to", (version) => {
    const events = Golden.linesOf(version).map(Golden.read)
    const [now, before] = [Golden.statesOf(events), Golden.readStates(version)]
    assert.deepStrictEqual(asFar(now, before), before)
    assert.deepStrictEqual(Object.keys(now), Object.keys(before))
  })

  it.each(Golden.versions())("of %s have whole streams, in the order of their positions", (version) => {
    const events = Golden.linesOf(version).map(Golden.read)
    assert.deepStrictEqual(events.map(({ position }) => position), events.map((_, index) => index + 1))
    for (const ofStream of Map.groupBy(events, ({ stream }) => stream).values()) {
      assert.deepStrictEqual(ofStream.map((recorded) => recorded.version), ofStream.map((_, index) => index + 1))
    }
  })

  it.each(Golden.versions())("of %s have events that are written as they were, in the same version", (version) => {
    for (const line of Golden.linesOf(version)) {
      const recorded = Golden.read(line)
      if (recorded.schemaVersion !== Vocabulary.versionOf(recorded.event)) continue
      assert.deepStrictEqual<unknown>(LogLine.json(recorded).event, JSON.parse(line).event)
    }
  })

  it("have one of this version, with every event type and field, until it is released", () => {
    const version = Golden.packageVersion()
    if (Golden.isReleased(version)) return
    const told = Golden.versions().includes(version) ? Golden.linesOf(version).map(Golden.read) : []
    assert.deepStrictEqual(missing(told), [], "add it to test/golden/stories.ts and run `npm run golden`")
  })

  it("tell the same stories whenever they are written", () => {
    assert.deepStrictEqual(stories().map(Golden.write), stories().map(Golden.write))
  })

  it("stay as they are once their version is released", () => {
    const changelog =
      "# Changelog\n\n## Unreleased\n\n- 0.3.0\n\n## 0.2.0\n\n## [0.1.0] - 2026-12-01\n\n## 0.0.1-beta\n"
    assert.deepStrictEqual(
      ["0.3.0", "0.2.0", "0.1.0", "0.0.1-beta", "0.0.1", "0.1", "0.2.01"].map((version) =>
        Golden.isReleased(version, changelog)
      ),
      [false, true, true, true, false, false, false]
    )
  })
})
