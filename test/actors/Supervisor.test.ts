import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import * as Supervisor from "../../src/actors/Supervisor.ts"
import type { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import { now } from "../support/directive.ts"

const policy: Supervisor.Policy = {
  restartsMax: 3,
  periodMillis: 60_000,
  restartDelayMillis: 100,
  restartDelayMillisMax: 250,
  awayMillis: 500
}
const address = "directive-1"
const failed = (at: number): Extract<SupervisorEvent, { _tag: "ActorFailed" }> => ({
  _tag: "ActorFailed",
  address,
  cause: "it broke",
  at
})
const failure = {
  _tag: "ReportFailure",
  address,
  cause: "it broke",
  reason: "it failed",
  outage: false,
  chance: 0
} as const

const park = { _tag: "Park", since: now, cause: "it failed" } as const

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
    failing.thenRecords(failed(now), { _tag: "ActorParked", address, at: now, cause: "it failed" })
    failing.thenAnswers(park)
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

  it("restarts early by chance, but not before half of the delay is over", () => {
    given(failed(now - 20)).when({ ...failure, chance: 0.5 }).thenAnswers({ _tag: "Restart", at: now + 150 })
    given(failed(now - 20)).when({ ...failure, chance: 1 }).thenAnswers({ _tag: "Restart", at: now + 100 })
  })

  it("forgets no failure because the actor stopped, was passivated or was taken over", () => {
    const past = [failed(now - 3), failed(now - 2), failed(now - 1)]
    for (const reason of [{}, { reason: "passivated" }] as const) {
      given(...past, { _tag: "ActorStopped", address, ...reason }).when(failure).thenAnswers(park)
    }
    given(...past, { _tag: "ActorTakenOver", address, epoch: 2, until: now }).when(failure).thenAnswers(park)
  })

  it("does not park an actor because the store fails, however often, and lets it wait longer each time", () => {
    const outages = Array.from(
      { length: 10 },
      (_, index): SupervisorEvent => ({ ...failed(now - index), outage: true })
    )
    given(...outages).when({ ...failure, outage: true }).thenAnswers({ _tag: "Restart", at: now + 250 })
    given(...outages, failed(now - 2), failed(now - 1)).when(failure).thenAnswers({ _tag: "Restart", at: now + 250 })
    given(...outages, failed(now - 3), failed(now - 2), failed(now - 1)).when(failure).thenAnswers(park)
  })

  const parked: SupervisorEvent = { _tag: "ActorParked", address, at: now - 5, cause: "it broke" }
  const resume = { _tag: "ResumeActor", address } as const

  it("takes a parked actor for parked until it is resumed, whatever else is said of it", () => {
    const events: ReadonlyArray<SupervisorEvent> = [
      { _tag: "ActorStarted", address },
      { _tag: "ActorStopped", address },
      { _tag: "ActorTakenOver", address, epoch: 2, until: now }
    ]
    for (const event of events) {
      const resuming = given(parked, event).when(resume)
      resuming.thenRecords({ _tag: "ActorResumed", address, at: now })
      resuming.thenAnswers({ _tag: "Resume" })
    }
  })

  it("gives an actor that is resumed its whole budget, and resumes none that is not parked", () => {
    const past = [failed(now - 3), failed(now - 2), failed(now - 1), parked]
    const resumed: SupervisorEvent = { _tag: "ActorResumed", address, at: now - 1 }
    given(...past, resumed).when(failure).thenAnswers({ _tag: "Restart", at: now + 100 })
    const again = given(...past, resumed).when(resume)
    again.thenRecords()
    again.thenAnswers({ _tag: "Noted" })
  })

  it("knows which actors wait to be restarted, until they run", () => {
    const scheduled = (...events: ReadonlyArray<SupervisorEvent>) =>
      Object.fromEntries(events.reduce(Supervisor.evolve, Supervisor.empty(policy)).scheduled)
    const restart: SupervisorEvent = { _tag: "ActorRestartScheduled", address, at: now + 100 }
    assert.deepStrictEqual(scheduled(failed(now), restart), { [address]: now + 100 })
    assert.deepStrictEqual(scheduled(failed(now), restart, { _tag: "ActorStopped", address }), { [address]: now + 100 })
    assert.deepStrictEqual(scheduled(failed(now), restart, { _tag: "ActorStarted", address }), {})
  })

  it("throws failures away that are long past, also those of actors that do not fail any more", () => {
    const events = [failed(now - 300_000), { ...failed(now), address: "other" }]
    const { failures } = events.reduce(Supervisor.evolve, Supervisor.empty(policy))
    assert.deepStrictEqual([...HashMap.keys(failures)], ["other"])
  })

  it("bounds what it keeps of a cause", () => {
    const cause = `${"x".repeat(100_000)}\ny`
    const past = [1, 2, 3].map((n) => failed(now - n)).reduce(Supervisor.evolve, Supervisor.empty(policy))
    const [event, last] = Result.getOrThrow(Supervisor.decide(past, { ...failure, cause }, now)).events
    assert.isTrue(event?._tag === "ActorFailed" && event.cause.length === 4_000)
    assert.isTrue(last?._tag === "ActorParked" && last.cause === "it failed")
  })

  it("has nothing to do when nothing happened", () => {
    given(failed(now)).when({ _tag: "Wake" }).thenRecords()
  })
})
