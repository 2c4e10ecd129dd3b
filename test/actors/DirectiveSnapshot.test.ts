/**
 * Goal: a state that was written and read back is the state, whatever has led to it and whatever comes after. Method:
 * histories as the rules make them, written down after every event. That a state is used only where it is right is for
 * `internal/recovery.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result, Schema } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveCommand } from "../../src/actors/DirectiveCommand.ts"
import { codec } from "../../src/actors/DirectiveSnapshot.ts"
import * as Codec from "../../src/actors/internal/codec.ts"
import { emptyFifo, iterate, push } from "../../src/actors/internal/fifo.ts"
import * as Heap from "../../src/actors/internal/heap.ts"
import { history } from "../projections/histories.ts"
import { comparable } from "../support/comparable.ts"
import { context, daemonA, ownerId } from "../support/directive.ts"

const write = (state: Directive.State): string => [...codec.encode(state)].join("")
const copyOf = (state: Directive.State): Directive.State => codec.decode(write(state))

const Choices = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 27 }))).check(
  Schema.isMaxLength(60)
)

const eventsOf = (choices: ReadonlyArray<number>) =>
  history("snapshots", ownerId, choices).flatMap(({ append }) => append.events)

const stream = history("snapshots", ownerId, [])[0]!.append.stream

/** Whatever a decision may look at. The order of maps is part of it: archiving goes through all tasks. */
const decisions = (state: Directive.State) => {
  const assignments = [...Directive.waitingTasks(state)].map(({ id }) => ({ taskId: id, daemonId: daemonA }))
  const commands: ReadonlyArray<DirectiveCommand> = [
    { _tag: "Wake" },
    { _tag: "HandOver", assignments },
    { _tag: "AddSteps", steps: [{ key: "a", name: "a" }, { name: "b", dependsOn: ["a"], orderIndex: 2 }] },
    { _tag: "UpdateDirective", goal: "Another goal" },
    { _tag: "ResumeDirective" },
    { _tag: "CompleteDirective" },
    { _tag: "ArchiveDirective" },
    ...[...HashMap.keys(state.steps)].map((stepId) => ({ _tag: "SkipStep", stepId }) as const),
    ...[...HashMap.keys(state.tasks)].map((taskId) => ({ _tag: "InterruptTask", taskId }) as const)
  ]
  return commands.map((command) =>
    Result.match(Directive.decide(state, command, context, "key"), {
      onFailure: ({ message }) => message,
      onSuccess: ({ answer, events }) => JSON.stringify({ answer, events })
    })
  )
}

describe("A snapshot of a directive", () => {
  const options = { arbitrary: { size: 60 } }

  it.prop("is the state, after every event, and what is folded on top of it too", [Choices], ([choices]) => {
    let state = Directive.empty(stream)
    let copy = copyOf(state)
    for (const event of eventsOf(choices)) {
      state = Directive.evolve(state, event)
      copy = copyOf(Directive.evolve(copy, event))
      assert.strictEqual(write(copy), write(state))
    }
    assert.deepStrictEqual(comparable(copy), comparable(state))
  }, options)

  it.prop("at any place leads to the same end as the fold from the first event", [
    Choices,
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
  ], ([choices, at]) => {
    const events = eventsOf(choices)
    const place = at % (events.length + 1)
    const before = events.slice(0, place).reduce(Directive.evolve, Directive.empty(stream))
    const copy = copyOf(before)
    assert.deepStrictEqual(comparable(copy), comparable(before))
    const rest = events.slice(place)
    const [end, expected] = [copy, before].map((state) => rest.reduce(Directive.evolve, state))
    assert.deepStrictEqual(comparable(end), comparable(expected))
  }, options)

  it.prop("decides as the state itself would", [Choices], ([choices]) => {
    const state = eventsOf(choices).reduce(Directive.evolve, Directive.empty(stream))
    assert.deepStrictEqual(decisions(copyOf(state)), decisions(state))
  }, options)

  it("of a large directive comes in pieces", () => {
    const steps = Array.from({ length: 1_200 }, (_, index) => ({ name: `${index}` }))
    const first = Directive.evolve(Directive.empty(stream), eventsOf([])[0]!)
    const { state } = Result.getOrThrow(Directive.decide(first, { _tag: "AddSteps", steps }, context))
    assert.strictEqual([...codec.encode(state)].join("").split("\n").length, 1 + 3)
    assert.deepStrictEqual(comparable(copyOf(state)), comparable(state))
  })
})

describe("A codec", () => {
  const throughJson = <A>(codec: Codec.Codec<A>, value: A): A => {
    const texts = new Codec.Texts()
    const json = JSON.stringify(codec.encode(value, texts))
    return codec.decode(JSON.parse(json), texts.takeAdded())
  }

  it("keeps a heap as it is, also one as deep as it is large", () => {
    const descending = Array.from({ length: 20_000 }, (_, index) => 20_000 - index)
    const deep = descending.reduce<Heap.Heap>(Heap.insert, undefined)
    const copy = throughJson(Codec.heap, deep)
    let [one, other] = [deep, copy]
    while (one !== undefined && other !== undefined) {
      assert.deepStrictEqual([other.value, other.rank, other.right], [one.value, one.rank, one.right])
      one = one.left
      other = other.left
    }
    assert.strictEqual(one, other)
    const mixed = [3, 1, 2, 1, 5].reduce<Heap.Heap>(Heap.insert, undefined)
    assert.deepStrictEqual(throughJson(Codec.heap, mixed), mixed)
    assert.isUndefined(throughJson(Codec.heap, undefined))
  })

  it("keeps a long list, and a queue with what is behind", () => {
    const queue = Array.from({ length: 20_000 }, (_, index) => index).reduce(push<number>, emptyFifo)
    const copy = throughJson(Codec.fifo<number>(Codec.plain), queue)
    assert.deepStrictEqual([...iterate(copy.back)], [...iterate(queue.back)])
    assert.deepStrictEqual([...iterate(copy.front)], [0])
  })

  it("keeps fields that are undefined", () => {
    const pair = Codec.struct<{ readonly a: string | undefined; readonly b: number }>({
      a: Codec.plain,
      b: Codec.plain
    })
    assert.deepStrictEqual(throughJson(pair, { a: undefined, b: 0 }), { a: undefined, b: 0 })
  })

  it("has another shape when a field is another, has another name or another place", () => {
    const shapes = [
      Codec.struct({ a: Codec.plain, b: Codec.plain }),
      Codec.struct({ b: Codec.plain, a: Codec.plain }),
      Codec.struct({ a: Codec.plain, c: Codec.plain }),
      Codec.struct({ a: Codec.plain, b: Codec.list(Codec.plain) }),
      Codec.struct({ a: Codec.plain, b: Codec.entries(Codec.plain) })
    ].map(({ shape }) => shape)
    assert.strictEqual(new Set(shapes).size, shapes.length)
  })
})
