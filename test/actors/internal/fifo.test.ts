import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { dropWhile, emptyFifo, type Fifo, push, values } from "../../../src/actors/internal/fifo.ts"
import * as Heap from "../../../src/actors/internal/heap.ts"

const Numbers = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })))

describe("Fifo", () => {
  it.prop(
    "gives back what was pushed in its order, whatever was taken between",
    [Numbers, Numbers],
    ([first, second]) => {
      const isSmall = (value: number) => value < 5
      const dropped = (values: ReadonlyArray<number>) => {
        const kept = values.findIndex((value) => !isSmall(value))
        return kept < 0 ? [] : values.slice(kept)
      }
      let fifo: Fifo<number> = emptyFifo
      for (const value of first) fifo = push(fifo, value)
      assert.deepStrictEqual([...values(fifo)], first)
      fifo = dropWhile(fifo, isSmall)
      for (const value of second) fifo = push(fifo, value)
      assert.deepStrictEqual([...values(fifo)], [...dropped(first), ...second])
      fifo = dropWhile(fifo, isSmall)
      assert.deepStrictEqual([...values(fifo)], dropped([...dropped(first), ...second]))
    }
  )

  it.prop("has a front whenever it has anything", [Numbers], ([all]) => {
    let fifo: Fifo<number> = emptyFifo
    for (const value of all) {
      fifo = dropWhile(push(fifo, value), (other) => other > value)
      assert.strictEqual(fifo.front === undefined, [...values(fifo)].length === 0)
    }
  })
})

describe("Heap", () => {
  it.prop("has the least of what is in it at the top", [Numbers], ([all]) => {
    let heap: Heap.Heap
    for (const [index, value] of all.entries()) {
      heap = Heap.insert(heap, value)
      assert.strictEqual(heap!.value, Math.min(...all.slice(0, index + 1)))
    }
    for (const least of new Set(all.toSorted((a, b) => a - b))) {
      assert.strictEqual(heap!.value, least)
      heap = Heap.dropWhile(heap, (value) => value === least)
    }
    assert.isUndefined(heap)
  })
})
