import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Chain from "../../src/events/Chain.ts"
import { type RecordedEvent, StoredEvent } from "../../src/events/EventLog.ts"
import * as LogLine from "../../src/replay/LogLine.ts"
import { fixed, recorded } from "../projections/histories.ts"
import { created, daemonA, now, stepIdAt, stream } from "../support/directive.ts"

const at = (event: StoredEvent, more: Partial<RecordedEvent> = {}): RecordedEvent => ({
  position: 42,
  stream,
  version: 7,
  schemaVersion: 1,
  at: now,
  hash: Chain.start,
  event,
  ...more
})

const lines = (...events: ReadonlyArray<StoredEvent>) => events.map((event) => LogLine.human(at(event)))
const start = "     42 2026-01-01T00:00:00.000Z directive-7b3c1f02@7"

describe("LogLine", () => {
  it("shows an event on a line, with its fields in their order and its texts cut", () => {
    const [one, two, three, four] = [3, 4, 5, 6].map(stepIdAt)
    assert.deepStrictEqual(
      lines(
        created,
        { _tag: "DirectiveStarted" },
        { _tag: "StepAdded", name: "x".repeat(80), orderIndex: 0, generation: 1, dependsOn: [], stepId: one! },
        { _tag: "DirectiveStalled", failed: [one!, two!, three!, four!], blocked: 3 },
        { _tag: "MemorySet", key: "a \"b\"\n\u001b[31m", value: "🦊".repeat(50) },
        { _tag: "CommandAnswered", commandId: "key", answer: { status: "idle" } }
      ),
      [
        `${start} DirectiveCreated directiveId=7b3c1f02 ownerId="ada" title="Export invoices" ` +
        "goal=\"Invoices can be exported as CSV.\" repositoryUrl=\"https://example.test/shop.git\" " +
        "baseBranch=\"main\" memoryEnabled=false",
        `${start} DirectiveStarted`,
        `${start} StepAdded stepId=${one!.slice(0, 8)} name="${
          "x".repeat(59)
        }…" dependsOn=[] orderIndex=0 generation=1`,
        `${start} DirectiveStalled failed=[${
          [one, two, three].map((id) => id!.slice(0, 8)).join(",")
        },…1 more] blocked=3`,
        `${start} MemorySet key="a \\"b\\" [31m" value="${"🦊".repeat(29)}…"`,
        `${start} CommandAnswered commandId="key" answer="{\\"status\\":\\"idle\\"}"`
      ]
    )
  })

  it("shows other streams by their names, which are somebody's text as well", () => {
    const lost: StoredEvent = { _tag: "DaemonLost", daemonId: daemonA }
    assert.strictEqual(
      LogLine.human(at(lost, { stream: "daemons-ada", position: 1, version: 1 })),
      "      1 2026-01-01T00:00:00.000Z daemons-ada@1 DaemonLost daemonId=aaaaaaaa"
    )
    assert.include(LogLine.human(at(lost, { stream: "daemons-a\nb c" })), " \"daemons-a b c\"@7 DaemonLost")
  })

  it("never breaks a line or steers a terminal", () => {
    for (const one of recorded(fixed("hostile", "ada", 5, 120))) {
      assert.match(LogLine.human(one), /^[^\p{Cc}\p{Zl}\p{Zp}]*$/u)
    }
  })

  it("gives the same JSON for the same event, whatever order its fields were in", () => {
    const one = at({ _tag: "StepReadied", stepId: stepIdAt(3) }, { commandId: "key", causationId: "directive-1@2" })
    const expected =
      `{"position":42,"stream":"${stream}","version":7,"at":${now},"type":"StepReadied","schemaVersion":1,` +
      `"event":{"_tag":"StepReadied","stepId":"${stepIdAt(3)}"},"commandId":"key","causationId":"directive-1@2"}`
    assert.strictEqual(JSON.stringify(LogLine.json(one)), expected)
    const shuffled = Object.fromEntries(Object.entries(one).toReversed()) as unknown as RecordedEvent
    const event = Object.fromEntries(Object.entries(one.event).toReversed()) as StoredEvent
    assert.strictEqual(JSON.stringify(LogLine.json({ ...shuffled, event })), expected)
  })

  it("gives JSON that has the event whole", () => {
    const decode = Schema.decodeUnknownSync(StoredEvent)
    for (const one of recorded(fixed("whole", "ada", 6, 120))) {
      const printed = JSON.parse(JSON.stringify(LogLine.json(one))) as { readonly event: unknown }
      assert.deepStrictEqual<StoredEvent>(decode(printed.event), one.event)
    }
  })
})
