/**
 * Goal: while others write, read and rebuild, nobody sees less of a directive than was visible before, nor anything that
 * it never was.
 *
 * Method: lives that are known beforehand are appended, each by a writer of its own, so that all states which a reader
 * may ever see are known, and how far each directive must be visible at least.
 *
 * Not checked: what happens between two events of one append, which no reader can tell from none of them.
 */
import { assert } from "@effect/vitest"
import { Effect, Option, Result, Schedule } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import type { DirectiveId } from "../../src/events/Ids.ts"
import { Projections } from "../../src/projections/Projections.ts"
import { ReadModel } from "../../src/projections/ReadModel.ts"
import { comparable, expected } from "./expected.ts"
import { type Decided, fixed } from "./histories.ts"

export interface Life {
  readonly id: DirectiveId
  readonly owner: string
  readonly decided: ReadonlyArray<Decided>
  /** By how it looks to readers, after how many appends it last looks so. */
  readonly looks: ReadonlyMap<string, number>
  /** How many appends every reader sees. */
  visible: number
}

export const life = (name: string, owner: string, seed: number, moments: number): Life => {
  const decided = fixed(name, owner, seed, moments)
  const looks = new Map<string, number>()
  let state = Directive.empty(decided[0]!.append.stream)
  for (const [index, { append }] of decided.entries()) {
    state = append.events.reduce(Directive.evolve, state)
    looks.set(lookOf({ ...expected(state), memories: [] }), index + 1)
  }
  return { id: state.id!, owner, decided, looks, visible: 0 }
}

const lookOf = (value: unknown): string =>
  JSON.stringify(
    value,
    (_, part: unknown) =>
      part !== null && typeof part === "object" && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part
  )

const again = Effect.retry({ schedule: Schedule.spaced("20 millis") })

/** Appends a life and has it seen, through whatever happens to the database. */
export const live = Effect.fnUntraced(function*(one: Life) {
  const log = yield* EventLog
  const { awaitPosition } = yield* Projections
  let version = 0
  for (const [index, { append, at }] of one.decided.entries()) {
    // Whether an append whose answer was lost is in the log shows when it is tried again.
    yield* log.append([{ ...append, expected: version }], { at }).pipe(
      Effect.catchTag(
        "VersionConflict",
        ({ actual }) => Effect.sync(() => assert.strictEqual(actual, version + append.events.length))
      ),
      again
    )
    version += append.events.length
    if (index % 4 !== 0 && index < one.decided.length - 1) continue
    yield* Effect.flatMap(log.head, (head) => awaitPosition(head, "20 seconds")).pipe(again)
    one.visible = index + 1
  }
})

/** Looks at each of the lives once. An answer that does not come is not one that is wrong. */
export const look = Effect.fnUntraced(function*(lives: ReadonlyArray<Life>) {
  const readModel = yield* ReadModel
  for (const { id, looks, owner, ...one } of lives.filter(({ visible }) => visible > 0)) {
    const atLeast = one.visible
    const answer = yield* Effect.result(readModel.directive(owner, id))
    if (Result.isFailure(answer)) continue
    if (Option.isNone(answer.success)) assert.fail(`${id} is not there`)
    const shown = answer.success.value
    const times = looks.get(lookOf(comparable(shown, [])))
    if (times === undefined) assert.fail(`${id} never looked like ${JSON.stringify(shown)}`)
    assert.isAtLeast(times, atLeast, `${id} is shown as it was long ago`)
  }
})
