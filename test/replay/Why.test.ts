import { assert, describe, it } from "@effect/vitest"
import * as Directive from "../../src/actors/Directive.ts"
import type { NewStep } from "../../src/actors/DirectiveCommand.ts"
import { type Daemon, why } from "../../src/replay/Why.ts"
import { fixed, recorded } from "../projections/histories.ts"
import { daemonA, daemonB, directiveId, now } from "../support/directive.ts"
import { Scenario, scenario, step } from "../support/scenario.ts"

const a: Daemon = { daemonId: daemonA, hostname: "anvil", status: "connected", free: 1 }
const b: Daemon = { daemonId: daemonB, hostname: "bellows", status: "connected", free: 1 }
const busy = (daemon: Daemon): Daemon => ({ ...daemon, free: 0 })

const ask = (life: Scenario, ...daemons: ReadonlyArray<Daemon>) => why(life.state, daemons, life.now)
const directive = (life: Scenario, ...daemons: ReadonlyArray<Daemon>) => ask(life, ...daemons).directive
const because = (life: Scenario, name: string, ...daemons: ReadonlyArray<Daemon>) =>
  ask(life, ...daemons).steps.find((one) => one.name === name)?.because
const waitsFor = (life: Scenario, name: string) =>
  ask(life).steps.find((one) => one.name === name)?.waitsFor.map((one) => `${one.name} ${one.status}`)

const planned = (...steps: ReadonlyArray<NewStep>): Scenario => {
  const life = scenario()
  life.plan(...steps)
  return life
}

describe("Why a step is where it is", () => {
  it("names the dependencies that are not finished", () => {
    const life = planned(step("A"), step("B"), step("C", ["A", "B"]), step("D", ["C"]))
    life.end("A", "completed")
    life.handOver("B")
    life.report("B", "running")
    assert.strictEqual(because(life, "C", a), "It waits for \"B\" (running).")
    assert.strictEqual(because(life, "D", a), "It waits for \"C\" (pending).")
    assert.deepStrictEqual(waitsFor(life, "C"), ["B running"])
    assert.isUndefined(because(life, "A", a), "a finished step is nowhere")
  })

  it("names the steps that come first by their orderIndex", () => {
    const life = planned(step("A"), step("B"), step("C", [], 1), step("D", ["C"], 2))
    assert.strictEqual(because(life, "C", a), "Steps with orderIndex 0 come first: \"A\" (ready) and \"B\" (ready).")
    assert.strictEqual(
      because(life, "D", a),
      "It waits for \"C\" (pending). Steps with orderIndex 0 come first: \"A\" (ready) and \"B\" (ready)."
    )
    assert.deepStrictEqual(waitsFor(life, "D"), ["C pending", "A ready", "B ready"])
  })

  it("names the failed steps that block it over others", () => {
    const life = planned(step("A"), step("X"), step("B", ["A"]), step("C", ["B"]), step("D", [], 1))
    life.end("A", "failed")
    assert.strictEqual(
      because(life, "A"),
      `It failed: A went wrong. \`makima directive retry ${life.stepId("A")}\` tries it again, ` +
        `\`makima directive skip ${life.stepId("A")}\` goes on without it.`
    )
    const blocked = "It is blocked until \"A\", which failed, is retried or skipped."
    assert.strictEqual(because(life, "B"), `It waits for "A" (failed). ${blocked}`)
    assert.strictEqual(because(life, "C"), `It waits for "B" (pending). ${blocked}`)
    assert.strictEqual(
      because(life, "D"),
      `Steps with orderIndex 0 come first: "A" (failed), "X" (ready), "B" (pending) and 1 more. ${blocked}`
    )
    life.end("X", "failed")
    assert.include(because(life, "D"), "It is blocked until \"A\" and \"X\", which failed, are retried or skipped.")
  })

  it("says whether the plan that added it is still being made or came to nothing", () => {
    const life = scenario()
    life.handOver("Plan")
    life.addSteps(step("A"))
    assert.strictEqual(
      because(life, "A", a),
      "It belongs to a plan that is still being made, and takes part when \"Plan: Export invoices\" ends well."
    )
    life.report("Plan", "failed", { reason: "no idea" })
    assert.strictEqual(
      because(life, "A", a),
      "It was added by a plan that did not end well, and takes part when the next plan does."
    )
  })

  it("says what its task waits for", () => {
    const life = planned(step("A"))
    assert.strictEqual(because(life, "A"), "Its task waits for a daemon: none is connected.")
    assert.strictEqual(because(life, "A", a), "Its task is about to go to \"anvil\", which has room.")
    assert.strictEqual(because(life, "A", busy(a)), "Its task waits for a daemon: \"anvil\" is busy.")
    assert.strictEqual(
      because(life, "A", busy(a), busy(b)),
      "Its task waits for a daemon: \"anvil\" and \"bellows\" are busy."
    )
    assert.strictEqual(
      because(life, "A", { ...a, status: "suspect" }, { ...b, status: "lost" }),
      "Its task waits for a daemon: none is connected; \"anvil\" is silent."
    )
    life.handOver("A")
    life.loseDaemon("A")
    assert.strictEqual(
      because(life, "A", a, busy(b)),
      "Its task waits for a daemon: \"bellows\" is busy; \"anvil\" failed to take it and is left out until " +
        "2026-01-01T00:00:30.000Z. It was handed over 1 time before."
    )
    life.pass(30_000)
    assert.strictEqual(
      because(life, "A", a),
      "Its task is about to go to \"anvil\", which has room. It was handed over 1 time before."
    )
    life.send({ _tag: "PauseDirective" })
    assert.strictEqual(
      because(life, "A", a),
      "Its task waits because the directive is paused. It was handed over 1 time before."
    )
  })

  it("says where its task is", () => {
    const life = planned(step("A"))
    life.handOver("A")
    assert.strictEqual(
      because(life, "A", a),
      "Its task was handed to \"anvil\" (hand-over 1), which has not said yet that it runs."
    )
    life.report("A", "running")
    assert.strictEqual(because(life, "A", a), "Its task runs on \"anvil\" since hand-over 1.")
    assert.strictEqual(because(life, "A"), `Its task runs on daemon ${daemonA} since hand-over 1.`)
    life.send({ _tag: "InterruptTask", taskId: life.task("A").id })
    assert.strictEqual(
      because(life, "A", { ...a, status: "suspect" }),
      "Its task runs on \"anvil\" since hand-over 1. That daemon is silent at the moment. It is being interrupted."
    )
  })

  it("says that a task which came back goes out again", () => {
    const life = planned(step("A"))
    life.handOver("A")
    life.report("A", "running")
    life.loseDaemon("A")
    assert.strictEqual(life.step("A").status, "running")
    assert.strictEqual(
      because(life, "A", b),
      "Its task is about to go to \"bellows\", which has room. It was handed over 1 time before."
    )
  })

  it("says when a later plan was put before it", () => {
    const life = planned(step("A", [], 1))
    life.addSteps(step("First"))
    assert.strictEqual(
      because(life, "A", a),
      "Its task waits: a later plan put steps with orderIndex 0 first: \"First\" (ready)."
    )
  })

  it("says that a ready step gets its task when the directive goes on", () => {
    const life = planned(step("A"), step("B", ["A"]))
    life.handOver("A")
    life.send({ _tag: "PauseDirective" })
    life.report("A", "completed")
    assert.strictEqual(because(life, "B", a), "It gets a task when the directive, which is paused, is active.")
  })

  it("says what a draft and an archived directive mean for it", () => {
    const life = scenario({ start: false })
    life.addSteps(step("A"), step("B", ["A"]))
    assert.strictEqual(because(life, "A", a), "It goes first when the directive is started.")
    assert.strictEqual(because(life, "B", a), "It waits for \"A\" (pending).")
    life.send({ _tag: "ArchiveDirective" })
    assert.strictEqual(because(life, "A", a), "The directive is archived: it does not go on.")
  })

  it("shows names in quotes that they cannot leave", () => {
    const life = planned(step("it\"s\u001b[31m\nred"), { name: "B", dependsOn: ["it\"s\u001b[31m\nred"] })
    assert.strictEqual(because(life, "B", a), "It waits for \"it\\\"s [31m red\" (ready).")
  })
})

describe("Why a directive is where it is", () => {
  it("says what is planned and at work", () => {
    const life = scenario({ start: false })
    assert.strictEqual(
      directive(life),
      `It is a draft: \`makima directive start ${directiveId}\` sets it going.`
    )
    life.send({ _tag: "StartDirective" })
    assert.strictEqual(
      directive(life, a),
      "Revision 1 of its goal is being planned. Its task is about to go to \"anvil\", which has room."
    )
    life.plan(step("A"), step("B"), step("C", ["A"]))
    life.handOver("A")
    life.report("A", "running")
    assert.strictEqual(directive(life, a), "It is at work on 3 steps: 1 running, 1 ready, 1 pending.")
    life.send({ _tag: "UpdateDirective", goal: "As PDF" })
    life.handOver("Plan")
    assert.strictEqual(
      directive(life, a),
      "Revision 2 of its goal is being planned. Its task was handed to \"anvil\" (hand-over 1), which has not said yet " +
        "that it runs. It has 3 steps: 1 running, 1 ready, 1 pending."
    )
  })

  it("says why it is paused and how it goes on", () => {
    const life = planned(step("A"))
    life.send({ _tag: "PauseDirective", reason: "holiday" })
    assert.strictEqual(directive(life), `It is paused: holiday. \`makima directive resume ${directiveId}\` goes on.`)
    assert.strictEqual(ask(life).reason, "holiday")
    const unplanned = scenario()
    unplanned.end("Plan", "failed")
    assert.strictEqual(
      directive(unplanned),
      `It is paused: planning failed: Plan went wrong. \`makima directive resume ${directiveId}\` plans again.`
    )
  })

  it("says what stalls it and what that holds up", () => {
    const life = planned(step("A"), step("B"), step("C", ["A"]), step("D", ["C"]), step("E", [], 1))
    life.end("A", "failed")
    life.end("B", "completed")
    assert.strictEqual(life.status, "stalled")
    assert.strictEqual(
      directive(life),
      "It is stalled: \"A\" failed and holds up 3 steps. " +
        `\`makima directive complete ${directiveId}\` opens a pull request with what is completed.`
    )
  })

  it("says how far its pull request is", () => {
    const life = planned(step("A"))
    life.end("A", "completed")
    const done = "All its steps have ended. "
    assert.strictEqual(
      directive(life, a),
      `${done}The pull request is under way. Its task is about to go to "anvil", which has room.`
    )
    life.end("PR", "failed")
    assert.strictEqual(
      directive(life, a),
      `${done}The pull request is tried again at 2026-01-01T00:00:10.000Z, after attempt 1 failed.`
    )
    life.pass(10_000)
    assert.strictEqual(
      directive(life, busy(a)),
      `${done}The pull request is under way (attempt 2). Its task waits for a daemon: "anvil" is busy.`
    )
    life.end("PR", "failed")
    life.pass(20_000)
    life.end("PR", "failed")
    const attention = "the pull request failed 3 times, the last time because PR went wrong"
    assert.strictEqual(
      directive(life),
      `${done}It needs attention: ${attention}. \`makima directive complete ${directiveId}\` tries again.`
    )
    assert.strictEqual(ask(life).reason, attention)
    life.send({ _tag: "CompleteDirective" })
    life.send({ _tag: "UpdateDirective", prUrl: "https://example.test/pull/1" })
    life.end("PR", "completed")
    assert.strictEqual(
      directive(life),
      `${done}What was completed is in the pull request (https://example.test/pull/1).`
    )
  })

  it("says why there is no pull request", () => {
    const life = planned(step("A"))
    life.send({ _tag: "SkipStep", stepId: life.stepId("A") })
    assert.strictEqual(directive(life), "All its steps have ended. None was completed, so there is no pull request.")
    const local = new Scenario()
    local.send({ _tag: "CreateDirective", ownerId: life.state.ownerId, title: "T", goal: "G", start: true })
    local.plan(step("A"))
    local.end("A", "completed")
    assert.strictEqual(directive(local), "All its steps have ended. It has no repository, so there is no pull request.")
  })

  it("says what of an archived one is still going on", () => {
    const life = planned(step("A"))
    life.handOver("A")
    life.send({ _tag: "ArchiveDirective" })
    assert.strictEqual(directive(life), "It is archived, with 1 task still being interrupted.")
    life.report("A", "interrupted")
    assert.strictEqual(directive(life), "It is archived.")
  })

  it("says first that its actor is parked, after which cause, and what to do about it", () => {
    const life = planned(step("A"))
    const parked = { since: now, cause: "TypeError: x is undefined" }
    const { directive: sentence, parked: told } = why(life.state, [a], life.now, parked)
    assert.deepStrictEqual(told, parked)
    assert.strictEqual(
      sentence,
      `Its actor failed too often and is parked since ${new Date(now).toISOString()}, so nothing happens to it: ` +
        `TypeError: x is undefined. \`makima directive resume ${directiveId}\` lets it run again. ${directive(life, a)}`
    )
    assert.isNull(ask(life).parked)
  })

  it("has an answer for every state that there is, and one for each unfinished step", () => {
    for (let seed = 0; seed < 20; seed++) {
      const log = recorded(fixed(`why ${seed}`, "ada", seed, 80))
      let state = Directive.empty(log[0]!.stream)
      assert.strictEqual(why(state, [], now).directive, "It does not exist yet.")
      for (const { at, event } of log) {
        state = Directive.evolve(state, event)
        const { directive: sentence, steps } = why(state, [a, busy(b)], at)
        const unfinished = [...state.steps].filter(([, { status }]) => status !== "completed" && status !== "skipped")
        assert.strictEqual(steps.length, unfinished.length)
        for (const text of [sentence, ...steps.map((one) => one.because)]) {
          assert.match(text, /^[A-Z][^\p{Cc}]*\.$/u)
          assert.notInclude(text, "undefined")
        }
      }
    }
  })
})
