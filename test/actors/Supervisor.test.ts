import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Supervisor from "../../src/actors/Supervisor.ts"
import type { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import { now } from "../support/directive.ts"

const policy: Supervisor.Policy = {
  restartsMax: 3,
  periodMillis: 60_000,
  restartDelayMillis: 100,
  restartDelayMillisMax: 250,
  parkMillis: 30_000,
  awayMillis: 500
}
const address = "directive-1"
const failed = (at: number): SupervisorEvent => ({ _tag: "ActorFailed", address, cause: "it broke", at })
const failure: Supervisor.Command = { _tag: "ReportFailure", address, cause: "it broke" }

const given = (...events: ReadonlyArray<SupervisorEvent>) => ({
  when: (command: Supervisor.Command, at = now) => {
    const state = events.reduce(Supervisor.evolve, Supervisor.empty(policy))
    const decision = Result.getOrThrow(Supervisor.decide(state, command, at))
    assert.deepStrictEqual(decision.state, decision.events.reduce(Supervisor.evolve, state))
    return {
      thenRecords: (...expected: ReadonlyArray<SupervisorEvent>) => assert.deepStrictEqual(decision.events, expected),
      thenAnswers: (expected: Supervisor.Verdict) => assert.deepStrictEqual(decision.answer, expected)
    }
  }
})

describe("Supervisor", () => {
  it("records which actors start and stop", () => {
    given().when({ _tag: "ReportStart", address }).thenRecords({ _tag: "ActorStarted", address })
    given().when({ _tag: "ReportStop", addresses: ["b", "a"] }).thenRecords(
      { _tag: "ActorStopped", address: "b" },
      { _tag: "ActorStopped", address: "a" }
    )
    given().when({ _tag: "ReportStop", addresses: [] }).thenRecords()
  })

  it("restarts an actor that fails after a short delay", () => {
    const failing = given().when(failure)
    failing.thenRecords(failed(now), { _tag: "ActorRestartScheduled", address, at: now + 100 })
    failing.thenAnswers({ _tag: "Restart", at: now + 100 })
  })

  it("lets the delay grow with each failure, up to its bound", () => {
    given(failed(now - 20)).when(failure).thenAnswers({ _tag: "Restart", at: now + 200 })
    given(failed(now - 20), failed(now - 10)).when(failure).thenAnswers({ _tag: "Restart", at: now + 250 })
  })

  it("parks an actor that fails too often in a period", () => {
    const failing = given(failed(now - 30), failed(now - 20), failed(now - 10)).when(failure)
    failing.thenRecords(failed(now), { _tag: "ActorParked", address, until: now + 30_000 })
    failing.thenAnswers({ _tag: "Park", until: now + 30_000 })
  })

  it("forgets failures that are older than the period", () => {
    const past = [failed(now - 60_001), failed(now - 60_000), failed(now - 10)]
    given(...past).when(failure).thenAnswers({ _tag: "Restart", at: now + 200 })
  })

  it("counts each actor's failures by themselves", () => {
    const others = [1, 2, 3].map((n): SupervisorEvent => ({
      _tag: "ActorFailed",
      address: "other",
      cause: "x",
      at: now - n
    }))
    given(...others).when(failure).thenAnswers({ _tag: "Restart", at: now + 100 })
  })

  it("forgets the failures of an actor that stopped", () => {
    given(failed(now - 2), failed(now - 1), { _tag: "ActorStopped", address }).when(failure).thenAnswers({
      _tag: "Restart",
      at: now + 100
    })
  })

  it("takes a parked actor for running when it is started again", () => {
    const until = now + 30_000
    const parked = Supervisor.evolve(Supervisor.empty(policy), { _tag: "ActorParked", address, until })
    assert.strictEqual(parked.parked.get(address), until)
    assert.isFalse(Supervisor.evolve(parked, { _tag: "ActorStarted", address }).parked.has(address))
  })

  it("bounds what it keeps of a cause", () => {
    const [event] = Result.getOrThrow(
      Supervisor.decide(Supervisor.empty(policy), { _tag: "ReportFailure", address, cause: "x".repeat(100_000) }, now)
    ).events
    assert.isTrue(event?._tag === "ActorFailed" && event.cause.length === 4_000)
  })

  it("has nothing to do when nothing happened", () => {
    given(failed(now)).when({ _tag: "Wake" }).thenRecords()
  })
})
