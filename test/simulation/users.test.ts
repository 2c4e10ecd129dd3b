/**
 * Goal: whoever simulates the runtime with agents, directives and operations of their own gets what they said, and a seed
 * stays a seed. Method: runs of calm worlds in which only what is said here happens.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Agent, Invariant, Operation, Options, Outcome, Profile } from "../../src/simulation/index.ts"
import { profiles, run, shrink } from "../../src/simulation/index.ts"

/** One owner with one directive and one daemon, and nothing that goes wrong. */
const quiet: Profile = {
  ...profiles.calm,
  name: "quiet",
  owners: 1,
  directives: 1,
  daemons: 1,
  minutes: 20,
  faults: {},
  operations: {}
}

const directive = () => ({ title: "Release", goal: "Release it", repositoryUrl: "https://git.example/release" })

const planner: Agent = ({ kind }) =>
  kind === "planning"
    ? {
      millis: 60_000,
      commands: [{
        after: 1_000,
        command: { _tag: "AddSteps", steps: [{ key: "a", name: "Build" }, { name: "Deploy", dependsOn: ["a"] }] }
      }]
    }
    : {}

const eventsOf = (outcome: Outcome, type: string) => outcome.events.filter(({ event }) => event._tag === type)

describe("An agent of one's own", () => {
  it("makes the plan that it makes", () => {
    const outcome = run({ seed: 1, profile: quiet, directive, agent: planner })
    assert.isUndefined(outcome.violation, outcome.violation?.message)
    const names = eventsOf(outcome, "StepAdded").map(({ event }) => event._tag === "StepAdded" && event.name)
    assert.deepStrictEqual(names, ["Build", "Deploy"])
  })

  it("takes as long as it says, and what it does not say is as the profile has it", () => {
    const outcome = run({
      seed: 1,
      profile: quiet,
      directive: () => ({ ...directive(), steps: [{ name: "Build" }] }),
      agent: ({ kind }) => kind === "step" ? { millis: 123_000 } : {}
    })
    const [started] = eventsOf(outcome, "StepStarted")
    const [completed] = eventsOf(outcome, "StepCompleted")
    const millis = completed!.at - started!.at
    // A report takes its time on the way.
    assert.isAtLeast(millis, 122_500)
    assert.isAtMost(millis, 124_500)
    const prUrls = outcome.events.filter(({ event }) => event._tag === "DirectiveUpdated" && event.prUrl !== undefined)
    assert.lengthOf(prUrls, 1)
  })

  it("that leaves out everything is like any other", () => {
    const usual = run({ seed: 4, profile: "rough" })
    assert.deepStrictEqual(run({ seed: 4, profile: "rough", agent: () => ({}) }).events, usual.events)
  })

  it("fails where it says so, and where the profile does", () => {
    const steps = [{ name: "Build" }]
    const failing: Agent = ({ kind }) => kind === "step" ? { ends: "badly" } : {}
    assert.lengthOf(
      eventsOf(
        run({ seed: 1, profile: quiet, agent: failing, directive: () => ({ ...directive(), steps }) }),
        "StepFailed"
      ),
      1
    )
    const profile = { ...quiet, faults: { agentFails: 1 } }
    const outcome = run({ seed: 1, profile, directive, agent: planner })
    assert.deepStrictEqual(outcome.happened.map(({ kind }) => kind), ["create", "agentFails"])
  })

  it("that throws fails the run, which says where", () => {
    const broken: Agent = ({ task }) => {
      throw new Error(`no idea what to do with ${task.taskName}`)
    }
    const { violation } = run({ seed: 1, profile: quiet, directive, agent: broken })
    assert.include(violation?.found, "no idea what to do with Plan: Release")
    assert.include(violation?.found, "users.test.ts")
  })

  it("may draw from the chance that it is given, and from no other", () => {
    const drawn: Array<number> = []
    const agent: Agent = ({ chance }) => {
      drawn.push(chance.between(1, 1_000_000))
      return {}
    }
    run({ seed: 5, profile: quiet, directive, agent })
    const first = drawn.splice(0)
    run({ seed: 5, profile: quiet, directive, agent })
    assert.isAbove(first.length, 2)
    assert.deepStrictEqual(drawn, first)
    const { violation } = run({ seed: 5, profile: quiet, directive, agent: () => ({ millis: Math.random() * 1_000 }) })
    assert.include(violation?.found, "Simulated code called random, which is of the real world")
  })
})

describe("A directive of one's own", () => {
  it("that is started just before everything has to settle is carried out", () => {
    const profile = { ...quiet, minutes: 1 }
    for (let seed = 1; seed <= 20; seed += 1) {
      const outcome = run({ seed, profile, directive: () => ({ ...directive(), steps: [{ name: "Build" }] }) })
      assert.isUndefined(outcome.violation, outcome.violation?.message)
      assert.lengthOf(eventsOf(outcome, "StepCompleted"), 1)
    }
  })

  it("is what it says", () => {
    const outcome = run({
      seed: 1,
      profile: { ...quiet, directives: 2 },
      directive: (index) => ({ ...directive(), title: `Release ${index}`, memoryEnabled: index === 1 })
    })
    const created = eventsOf(outcome, "DirectiveCreated").map(({ event }) =>
      event._tag === "DirectiveCreated" ? [event.title, event.memoryEnabled] : []
    )
    assert.deepStrictEqual(created.toSorted(), [["Release 0", false], ["Release 1", true]])
  })

  it("with steps is not planned", () => {
    const outcome = run({
      seed: 1,
      profile: quiet,
      directive: () => ({ ...directive(), steps: [{ name: "Build" }, { name: "Deploy", orderIndex: 1 }] })
    })
    assert.lengthOf(eventsOf(outcome, "StepCompleted"), 2)
    const kinds = eventsOf(outcome, "TaskCreated").map(({ event }) => event._tag === "TaskCreated" && event.kind)
    assert.deepStrictEqual(kinds, ["step", "step", "completion"])
  })
})

describe("An operation of one's own", () => {
  /** Somebody who lets nobody have a directive in which something runs. */
  const stop: Operation = {
    name: "stop",
    rate: 20,
    command: ({ steps }) => steps.some(({ status }) => status === "running") ? { _tag: "PauseDirective" } : undefined
  }
  const noPause: Invariant = {
    name: "no pause",
    says: "Nobody pauses anything.",
    make: ({ violated }) => ({
      event: ({ event }) => {
        if (event._tag === "DirectivePaused") violated("no pause", "one")
      }
    })
  }
  const options = { seed: 2, profile: "rough", operations: [stop], invariants: [noPause] } as const

  it("happens as often as it says, to directives as they are then", () => {
    const outcome = run({ seed: 1, profile: quiet, directive, operations: [stop] })
    const own = outcome.happened.filter(({ kind }) => kind === "own")
    assert.isAbove(own.length, 0)
    assert.strictEqual(own[0]!.text, "stop: somebody asks directive 0 to PauseDirective")
    assert.isAbove(eventsOf(outcome, "DirectivePaused").length, 0)
  })

  it("is left out when a failure does not need it, and kept when it does", () => {
    const failed = run(options)
    const { only } = shrink(options, failed)
    assert.deepStrictEqual(only.map((key) => key.split(" ")[0]), ["create", "stop"])
  })
})

describe("A run refuses", () => {
  const wrong = (value: unknown) => value as never
  const made = (fields: object) => ({ profile: quiet, directive: () => ({ ...directive(), ...fields }) })
  const agent = (work: unknown) => ({ profile: quiet, directive, agent: wrong(() => work) })
  const cycle = [{ key: "a", name: "A", dependsOn: ["b"] }, { key: "b", name: "B", dependsOn: ["a"] }]

  it.each<[what: string, options: Omit<Options, "seed">, problem: string]>([
    [
      "an option that there is not",
      wrong({ agents: planner }),
      "there is no option agents: it has to be one of seed, "
    ],
    ["a profile that there is not", { profile: wrong("stormy") }, "profile is \"stormy\": it has to be one of calm, "],
    [
      "a field of a profile",
      { profile: wrong({ ...quiet, minute: 1 }) },
      "profile quiet has minute: it has to be one of"
    ],
    [
      "a fault",
      { profile: wrong({ ...quiet, faults: { agentFail: 1 } }) },
      "profile quiet has a fault agentFail, which"
    ],
    [
      "a probability over 1",
      { profile: { ...quiet, faults: { agentFails: 1.5 } } },
      "the probability of agentFails in profile quiet is 1.5: it has to be from 0 to 1"
    ],
    [
      "a negative probability",
      { profile: { ...quiet, faults: { agentFails: -0.1 } } },
      "the probability of agentFails in profile quiet is -0.1"
    ],
    ["a negative rate", { profile: { ...quiet, faults: { crash: -1 } } }, "the rate of crash in profile quiet is -1"],
    [
      "an operation",
      { profile: wrong({ ...quiet, operations: { stop: 1 } }) },
      "profile quiet has an operation stop, which there is not"
    ],
    [
      "how often it happens",
      { profile: { ...quiet, operations: { pause: NaN } } },
      "the rate of pause in profile quiet"
    ]
  ])("%s, before it begins", (_, options, problem) => {
    assert.throws(() => run({ seed: 1, ...options }), RangeError, problem)
  })

  it("a seed that is none", () => assert.throws(() => run({ seed: 0.5 }), RangeError, "seed is 0.5"))

  it.each<[what: string, options: Omit<Options, "seed">, problem: string]>([
    ["an end", agent({ ends: "sideways" }), "the agent ends \"sideways\": it has to be one of well, badly, never"],
    ["an agent's answer", agent({ end: "well" }), "the agent returns end: it has to be one of millis, ends, commands"],
    ["no answer", agent(undefined), "the agent returns undefined: {} says that it is like any other"],
    ["a negative time", agent({ millis: -1 }), "the agent takes -1 ms: it has to be a number from 0 on"],
    [
      "the time of a command",
      agent({ commands: [{ after: NaN, command: { _tag: "PauseDirective" } }] }),
      "the agent gives a command after NaN ms: it has to be a number from 0 on"
    ],
    ["an empty title", made({ title: " " }), "directive 0: title: is empty"],
    ["a field of a directive", made({ tittle: "T" }), "directive 0: tittle: is not a field that is known here"],
    ["a cycle", made({ steps: cycle }), "directive 0: steps[0].dependsOn: a cycle: a → b → a"]
  ])("%s, where it comes up", (_, options, problem) => {
    assert.include(run({ seed: 1, ...options }).violation?.found, problem)
  })
})

it("A seed gives the same log whatever agents, directives and operations there are", () => {
  const options: Options = {
    seed: 9,
    profile: "storm",
    agent: planner,
    directive: (index) => ({ ...directive(), title: `Release ${index}` }),
    operations: [{ name: "goal", rate: 2, command: () => ({ _tag: "UpdateDirective", goal: "Another" }) }]
  }
  const { events, happened } = run(options)
  const again = run(options)
  assert.deepStrictEqual(again.events, events)
  assert.deepStrictEqual(again.happened, happened)
})
