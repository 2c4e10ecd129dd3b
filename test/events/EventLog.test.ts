import { assert, describe, it } from "@effect/vitest"
import { EventLog, EventLogError } from "../../src/events/EventLog.ts"
import { meets } from "../../src/events/internal/check.ts"
import { suite } from "./EventLogContract.ts"

suite("The event log in memory", EventLog.layerMemory)

describe("EventLog", () => {
  it("knows when a stream is where it is expected to be", () => {
    assert.deepStrictEqual([0, 1, 2].map((actual) => meets(1, actual)), [false, true, false])
    assert.deepStrictEqual([0, 1].map((actual) => meets("none", actual)), [true, false])
    assert.deepStrictEqual([0, 1].map((actual) => meets("exists", actual)), [false, true])
    assert.deepStrictEqual([0, 1].map((actual) => meets("any", actual)), [true, true])
  })

  it("says what failed and why", () => {
    assert.strictEqual(
      new EventLogError({ method: "append", cause: new Error("the disk is full") }).message,
      "The event log failed to append: the disk is full"
    )
  })
})
