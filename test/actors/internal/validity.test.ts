import { assert, describe, it } from "@effect/vitest"
import {
  isDead,
  isValid,
  mayJudge,
  type Moment,
  renewed,
  tried,
  unansweredMillis,
  type Validity
} from "../../../src/actors/internal/validity.ts"
import { defaultTimes as times } from "../../../src/actors/Leases.ts"

const at = (millis: number, wall = millis): Moment => ({ wall, monotonic: millis })

/** A lease that was renewed at these moments. */
const renewedAt = (...moments: ReadonlyArray<number>): Validity =>
  moments.reduce<Validity | undefined>((before, moment) => renewed(before, at(moment), times), undefined)!

describe("A lease", () => {
  it("is valid until others may take over, counted from before it was renewed", () => {
    const validity = renewedAt(0, 1_000)
    assert.isTrue(isValid(validity, at(3_999), times))
    assert.isFalse(isValid(validity, at(4_000), times))
  })

  it("goes by the clock that has moved more", () => {
    const validity = renewedAt(0)
    assert.isFalse(isValid(validity, at(10, 60_000), times), "the machine was asleep")
    assert.isFalse(isValid(validity, at(60_000, -5_000), times), "somebody set the clock back")
  })

  it("says how long the table has not answered, while it was asked", () => {
    const seconds = Array.from({ length: 20 }, (_, i) => (i + 1) * 4_000)
    const away = seconds.reduce((validity, second) => tried(validity, at(second), times), renewedAt(0))
    assert.strictEqual(unansweredMillis(away, at(81_000), times), 81_000)
    // The process stood still, and what it tries now may come too late.
    assert.strictEqual(unansweredMillis(away, at(90_000), times), Infinity)
    assert.strictEqual(unansweredMillis(tried(away, at(90_000), times), at(91_000), times), Infinity)
    assert.strictEqual(unansweredMillis(renewed(away, at(92_000), times), at(92_500), times), 500)
  })

  it("lets its process judge others after it was renewed without a break for a whole lease", () => {
    const seconds = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => (from + i) * 1_000)
    assert.isFalse(mayJudge(renewedAt(...seconds(0, 7)), at(7_900), times))
    assert.isTrue(mayJudge(renewedAt(...seconds(0, 8)), at(8_000), times))
    // The database was away for two seconds, and nobody could renew.
    assert.isFalse(mayJudge(renewedAt(...seconds(0, 20), ...seconds(22, 29)), at(29_500), times))
    assert.isTrue(mayJudge(renewedAt(...seconds(0, 20), ...seconds(22, 30)), at(30_000), times))
    assert.isFalse(mayJudge(renewedAt(...seconds(0, 20)), at(23_000), times), "it is not valid itself")
  })
})

describe("A process", () => {
  const alive = { stopped: false, isConnected: true, silentMillis: 0 }

  it.each([
    ["that renews", alive, true, false],
    ["that has stopped", { ...alive, stopped: true }, false, true],
    ["that was killed", { ...alive, isConnected: false, silentMillis: 3_001 }, true, true],
    ["that was killed, for who may not judge", { ...alive, isConnected: false, silentMillis: 60_000 }, false, false],
    ["whose connection broke a moment ago", { ...alive, isConnected: false, silentMillis: 2_999 }, true, false],
    ["that is slow", { ...alive, silentMillis: 7_999 }, true, false],
    ["that stands still", { ...alive, silentMillis: 8_001 }, true, true]
  ])("%s", (_, signs, judging, dead) => {
    assert.strictEqual(isDead(signs, judging, times), dead)
  })
})
