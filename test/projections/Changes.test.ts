import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import * as Chain from "../../src/events/Chain.ts"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import type { RecordedEvent } from "../../src/events/EventLog.ts"
import { changes } from "../../src/projections/Changes.ts"
import { created, started, stepIdAt, stream } from "../support/directive.ts"
import { scenario, step } from "../support/scenario.ts"
import { expected, MemoryTables } from "./expected.ts"
import { fixed, history, recorded } from "./histories.ts"

const Choices = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
  .check(Schema.isMaxLength(80))

const events = (name: string, choices: ReadonlyArray<number>) => recorded(history(name, "ada", choices))

describe("Changes", () => {
  it.prop("make the rows that the state has, after every event", [Choices], ([choices]) => {
    checkPrefixes(events("prefixes", choices))
  })

  it.prop("make the same rows one event at a time, all at once, and all of it twice", [Choices], ([choices]) => {
    const all = events("batches", choices)
    const [single, batch, twice, again] = [0, 1, 2, 3].map(() => new MemoryTables())
    for (const one of all) {
      single!.lay(changes(one))
      twice!.lay(changes(one))
      twice!.lay(changes(one))
    }
    batch!.lay(all.flatMap(changes))
    again!.lay(all.flatMap(changes))
    again!.lay(all.flatMap(changes))
    for (const other of [batch, twice, again]) assert.deepStrictEqual(other!.rows, single!.rows)
  })

  it("are tried with histories that have everything in them", () => {
    const lives = Array.from({ length: 20 }, (_, seed) => recorded(fixed(`life ${seed}`, "ada", seed, 120)))
    for (const life of [...lives, failingCompletion()]) checkPrefixes(life)
    const tags = new Set([...lives.flat(), ...failingCompletion()].map(({ event }) => event._tag))
    // A removal is nothing that a directive decides, and changes no row: the rows go.
    assert.deepStrictEqual(Object.keys(DirectiveEvent.cases).filter((tag) => !tags.has(tag as never)), [
      "DirectiveRemoved"
    ])
  })

  it("tell apart what PostgreSQL can tell apart, and nothing else", () => {
    const half: DirectiveEvent = { _tag: "MemorySet", key: "half \ud83d\0", value: "\0" }
    const other: DirectiveEvent = { _tag: "MemorySet", key: "half \ud83e", value: "other" }
    const tables = new MemoryTables()
    tables.lay(recordedAll(created, half, other).flatMap(changes))
    assert.deepStrictEqual(tables.directive.memories, [{ key: "half \ufffd", value: "other", category: null }])
  })

  it("leave alone what an event does not speak of", () => {
    const [, , , readied] = recordedAll(created, started, added, { _tag: "StepReadied", stepId: stepIdAt(3) })
    assert.deepStrictEqual(changes(readied!).map(({ table, values }) => ({ table, values })), [
      { table: "directives", values: { updatedAt: 4 } },
      { table: "steps", values: { status: "ready" } }
    ])
  })
})

const added: DirectiveEvent = {
  _tag: "StepAdded",
  stepId: stepIdAt(3),
  name: "Describe",
  dependsOn: [],
  orderIndex: 0,
  generation: 1
}

const recordedAll = (...all: ReadonlyArray<DirectiveEvent>): ReadonlyArray<RecordedEvent<DirectiveEvent>> =>
  all.map((event, index) => ({
    position: index + 1,
    stream,
    version: index + 1,
    schemaVersion: 1,
    at: index + 1,
    hash: Chain.start,
    event
  }))

const failingCompletion = (): ReadonlyArray<RecordedEvent<DirectiveEvent>> => {
  const life = scenario()
  life.plan(step("Describe"))
  life.end("Describe", "completed")
  for (const wait of [10_000, 20_000]) {
    life.end("PR", "failed")
    life.pass(wait)
  }
  life.end("PR", "failed")
  life.send({ _tag: "CompleteDirective" })
  life.end("PR", "completed")
  return recordedAll(...life.events)
}

const checkPrefixes = (all: ReadonlyArray<RecordedEvent<DirectiveEvent>>): void => {
  const tables = new MemoryTables()
  let state = Directive.empty(all[0]!.stream)
  for (const one of all) {
    tables.lay(changes(one))
    state = Directive.evolve(state, one.event)
    assert.deepStrictEqual<unknown>(tables.directive, expected(state), `${one.event._tag} at ${one.version}`)
  }
}
