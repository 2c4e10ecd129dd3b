import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as DaemonRegistry from "../../src/actors/DaemonRegistry.ts"
import type { DaemonEvent } from "../../src/events/DaemonEvent.ts"
import { daemonA, daemonB, now } from "../support/directive.ts"

const policy = { graceMillis: 120_000 }
const connected = (daemonId = daemonA): DaemonEvent => ({
  _tag: "DaemonConnected",
  daemonId,
  machineId: "machine",
  hostname: "host",
  maxConcurrentTasks: 2
})
const suspected = (lostAt: number, daemonId = daemonA): DaemonEvent => ({
  _tag: "DaemonSuspected",
  daemonId,
  reason: "it left",
  lostAt
})
const lost = (daemonId = daemonA): DaemonEvent => ({ _tag: "DaemonLost", daemonId })
const connect: DaemonRegistry.Command = { ...connected(), _tag: "Connect" } as DaemonRegistry.Command
const disconnect: DaemonRegistry.Command = { _tag: "Disconnect", daemonId: daemonA, reason: "it left" }

const given = (...events: ReadonlyArray<DaemonEvent>) => {
  const state = events.reduce(DaemonRegistry.evolve, DaemonRegistry.empty(policy))
  return {
    state,
    when: (command: DaemonRegistry.Command, at = now) => {
      const decision = Result.getOrThrow(DaemonRegistry.decide(state, command, at))
      assert.deepStrictEqual(decision.state, decision.events.reduce(DaemonRegistry.evolve, state))
      return {
        answer: decision.answer,
        thenRecords: (...expected: ReadonlyArray<DaemonEvent>) => assert.deepStrictEqual(decision.events, expected)
      }
    }
  }
}

describe("DaemonRegistry", () => {
  it("records that a daemon is here, and says whether it was before", () => {
    const first = given().when(connect)
    first.thenRecords(connected())
    assert.isFalse(first.answer.wasKnown)
    assert.isTrue(given(connected(), suspected(now)).when(connect).answer.wasKnown)
  })

  it("suspects a daemon that leaves, for the grace period", () => {
    given(connected()).when(disconnect).thenRecords(suspected(now + 120_000))
  })

  it("does not suspect a daemon twice, nor one that is lost or was never here", () => {
    given(connected(), suspected(now + 1)).when(disconnect).thenRecords()
    given(connected(), suspected(now), lost()).when(disconnect).thenRecords()
    given().when(disconnect).thenRecords()
  })

  it("wants to look again when the first of its suspects is lost", () => {
    assert.isUndefined(DaemonRegistry.dueAt(given(connected()).state))
    const { state } = given(connected(), connected(daemonB), suspected(now + 5), suspected(now + 3, daemonB))
    assert.strictEqual(DaemonRegistry.dueAt(state), now + 3)
  })

  it("loses a suspect when its grace is over, and not before", () => {
    const suspect = given(connected(), suspected(now + 1))
    suspect.when({ _tag: "Wake" }).thenRecords()
    suspect.when({ _tag: "Wake" }, now + 1).thenRecords(lost())
    given(connected(), suspected(now), lost()).when({ _tag: "Wake" }, now + 9).thenRecords()
  })

  it("takes a suspect or lost daemon back", () => {
    for (const events of [[connected(), suspected(now)], [connected(), suspected(now), lost()]]) {
      given(...events).when(connect).thenRecords(connected())
      const { state } = given(...events, connected())
      assert.deepInclude(state.daemons.get(daemonA), { status: "connected", lostAt: undefined })
      assert.isUndefined(DaemonRegistry.dueAt(state))
    }
  })

  it("gives everybody the whole grace period when the server starts anew, except the lost and those that are here", () => {
    const anew: DaemonEvent = {
      _tag: "DaemonSuspected",
      daemonId: daemonA,
      reason: "the server started anew",
      lostAt: now + 120_000
    }
    const wait: DaemonRegistry.Command = { _tag: "AwaitDaemons", here: [daemonB] }
    given(connected(), connected(daemonB)).when(wait).thenRecords(anew)
    given(connected(), suspected(now - 600_000)).when(wait).thenRecords(anew)
    given(connected(), suspected(now), lost()).when(wait).thenRecords()
  })
})
