/**
 * Goal: each checker notices what it is there for. Method: histories made by hand, one good and several bad ones each, and
 * nothing else running. That the checkers hear of what happens in a run is not shown here, but by breaking the code.
 */
import { assert, describe, it } from "@effect/vitest"
import { unset } from "../../src/daemon/spawnTask.ts"
import type { StoredEvent } from "../../src/events/EventLog.ts"
import { directiveIdOf } from "../../src/events/Ids.ts"
import type { Invariant } from "../../src/simulation/Invariant.ts"
import { Violation } from "../../src/simulation/Invariant.ts"
import { absences } from "../../src/simulation/invariants/absences.ts"
import { acknowledged } from "../../src/simulation/invariants/acknowledged.ts"
import { bounds } from "../../src/simulation/invariants/bounds.ts"
import { handOvers } from "../../src/simulation/invariants/handOvers.ts"
import { inFlight } from "../../src/simulation/invariants/inFlight.ts"
import { interrupts } from "../../src/simulation/invariants/interrupts.ts"
import { leases } from "../../src/simulation/invariants/leases.ts"
import { liveness } from "../../src/simulation/invariants/liveness.ts"
import { owners } from "../../src/simulation/invariants/owners.ts"
import { ownFaults } from "../../src/simulation/invariants/ownFaults.ts"
import { places } from "../../src/simulation/invariants/places.ts"
import { plans } from "../../src/simulation/invariants/plans.ts"
import { repeats } from "../../src/simulation/invariants/repeats.ts"
import { rests } from "../../src/simulation/invariants/rests.ts"
import { sameState } from "../../src/simulation/invariants/sameState.ts"
import { sequence } from "../../src/simulation/invariants/sequence.ts"
import { slots } from "../../src/simulation/invariants/slots.ts"
import { stepOrder } from "../../src/simulation/invariants/stepOrder.ts"
import { turns } from "../../src/simulation/invariants/turns.ts"
import { profiles } from "../../src/simulation/Profile.ts"
import {
  answer,
  answered,
  completed,
  connected,
  created,
  daemon,
  daemonId,
  handedOver,
  history,
  ownerId,
  ready,
  request,
  started,
  step,
  stepCompleted,
  stranger,
  stream,
  task,
  taskId
} from "./histories.ts"

const failed = (reason: string): StoredEvent => ({
  _tag: "HandOverFailed",
  taskId: taskId("a"),
  handOver: 1,
  daemonId,
  reason,
  excludedUntil: 0
})

type Told = (told: ReturnType<typeof history>) => unknown

const begun = [created, started]
const oneStep = [...begun, step("a"), ready("a"), task("a")]

const check = (
  invariant: Invariant,
  good: Told,
  bad: Readonly<Record<string, Told>>,
  options?: Parameters<typeof history>[1]
) => {
  describe(`Invariant ${invariant.name}: ${invariant.says}`, () => {
    it("has nothing against a good history", () => void good(history(invariant, options)))
    for (const [what, told] of Object.entries(bad)) {
      it(`notices ${what}`, () => {
        try {
          told(history(invariant, options))
        } catch (error) {
          assert.instanceOf(error, Violation)
          assert.strictEqual((error as Violation).invariant, invariant.name)
          return
        }
        assert.fail("nothing was noticed")
      })
    }
  })
}

check(
  stepOrder,
  (told) => told.append([...oneStep, connected, handedOver("a"), completed("a"), stepCompleted("a")]),
  {
    "a step that is ready before its dependency": (told) =>
      told.append([...begun, step("a"), step("b", 0, ["a"]), ready("b")]),
    "a step that is ready before a lower orderIndex": (told) =>
      told.append([...begun, step("a"), step("b", 1), ready("b")]),
    "a hand-over before a lower orderIndex that came later": (told) =>
      told.append([...begun, step("b", 1), ready("b"), task("b"), step("a"), handedOver("b")]),
    "a step of a plan that is not accepted": (told) =>
      told.append([
        ...begun,
        task("p", "planning"),
        step("a", 0, [], "p"),
        ready("a")
      ])
  }
)

check(
  handOvers,
  (told) => told.append([...oneStep, handedOver("a"), completed("a"), stepCompleted("a")]),
  {
    "two hand-overs at once": (told) => told.append([...oneStep, handedOver("a"), handedOver("a", 2)]),
    "a number left out": (told) => told.append([...oneStep, handedOver("a", 2)]),
    "a task that ends twice": (told) => told.append([...oneStep, handedOver("a"), completed("a"), completed("a")]),
    "a success of a hand-over that never was": (told) => told.append([...oneStep, handedOver("a"), completed("a", 2)]),
    "a stale failure that counts": (told) =>
      told.append([
        ...oneStep,
        handedOver("a"),
        { _tag: "HandOverFailed", taskId: taskId("a"), handOver: 1, daemonId, reason: "", excludedUntil: 0 },
        handedOver("a", 2),
        { _tag: "TaskFailed", taskId: taskId("a"), handOver: 1, reason: "" }
      ]),
    "a late success that is thrown away": (told) =>
      told.append([
        ...oneStep,
        handedOver("a"),
        { _tag: "ReportIgnored", taskId: taskId("a"), handOver: 1, daemonId, report: "completed", because: "" }
      ]),
    "a hand-over of what is to be stopped": (told) =>
      told.append([
        ...oneStep,
        handedOver("a"),
        { _tag: "InterruptRequested", taskId: taskId("a") },
        failed("it has it not"),
        handedOver("a", 2)
      ]),
    "a result that is lost": (told) => told.append([...oneStep, handedOver("a"), completed("a")]),
    "a result that is applied twice": (told) =>
      told.append([...oneStep, handedOver("a"), completed("a"), stepCompleted("a"), stepCompleted("a")]),
    "a hand-over of a task that has ended": (told) =>
      told.append([...oneStep, handedOver("a"), completed("a"), stepCompleted("a"), handedOver("a", 2)])
  }
)

check(
  places,
  (told) => told.append([connected, ...oneStep, handedOver("a")]),
  {
    "more tasks than a daemon takes": (told) =>
      told.append([connected, ...oneStep, step("b"), ready("b"), task("b"), handedOver("a"), handedOver("b")]),
    "a daemon that nobody knows": (told) => told.append([...oneStep, handedOver("a")]),
    "a task of another owner": (told) =>
      told.append([connected], { stream: `daemons-${stranger}` }).append([...oneStep, handedOver("a")]),
    "a daemon that gets one too many": (told) =>
      told.append(begun).checker.start?.(
        { ...daemon, running: new Map([[taskId("b"), { isInterrupted: false }]]) },
        spawn()
      )
  }
)

check(
  inFlight,
  (told) =>
    told.append([...begun, task("p", "planning"), completed("p"), task("q", "planning"), task("c", "completion")]),
  {
    "two plans at once": (told) => told.append([...begun, task("p", "planning"), task("q", "planning")]),
    "two completions at once": (told) => told.append([...begun, task("c", "completion"), task("d", "completion")])
  }
)

check(
  sequence,
  (told) => told.append([...begun, connected]).wait(5_000).checker.end?.(),
  {
    "a version left out": (told) => told.append(begun).append([step("a")], { version: 4 }),
    "a version twice": (told) => told.append(begun).append([step("a")], { version: 2 }),
    "a position that does not grow": (told) => told.append(begun).append([step("a")], { position: 2 }),
    "a hash that is not of the event": (told) => told.append([created], { hash: "0".repeat(64) }),
    "a subscriber who misses the last event": (told) => told.append(begun).miss().wait(10_000),
    "a subscriber who misses one in the middle": (told) => told.append(begun).miss().append([step("a")]).wait(5_000)
  }
)

check(
  sameState,
  (told) => told.append([...oneStep, connected, handedOver("a")]).wait(60_000).checker.end?.(),
  {
    "an actor that thinks something else": (told) =>
      told.append(begun).checker.snapshot?.({
        stream,
        version: 2,
        position: 2,
        schema: "",
        state: "{}",
        digest: "",
        at: 0
      }),
    "rows that say something else": (told) => {
      told.append(oneStep)
      const [id, state] = [...told.ledger.directives][0]!
      told.ledger.directives.set(id, { ...state, status: "paused" })
      told.checker.end?.()
    }
  }
)

const reported = { type: "reported", taskId: taskId("a"), handOver: 1 } as const

check(
  acknowledged,
  (told) => {
    // It lies about a task that is not its own, and that it is given at the same moment.
    told.checker.frame?.(daemon, reported, "node-1")
    told.checker.request?.(request("key"))
    told.append([...begun, answered("key")], { commandId: "key" }).respond(request("key"))
    told.append([connected, step("a"), ready("a"), task("a"), handedOver("a")]).checker.frame?.(
      daemon,
      spawn(),
      "node-1"
    )
  },
  {
    "an answer that is not in the log": (told) => told.append(begun).respond(request("key")),
    "an answer of a position that is not there": (told) => told.append(begun).respond(request("key"), answer, 99),
    "an answer other than the one in the log": (told) => {
      told.checker.request?.(request("key"))
      told.append([...begun, answered("key", 2)], { commandId: "key" }).respond(request("key"))
    },
    "the answer to another command with the same key": (told) => {
      told.checker.request?.(request("key"))
      told.append([...begun, answered("key")], { commandId: "key" })
        .respond({ ...request("key"), command: { _tag: "PauseDirective" } })
    },
    "events of a command that nobody gave": (told) => told.append([...begun, answered("key")], { commandId: "key" }),
    "a frame before its event": (told) => told.append(oneStep).checker.frame?.(daemon, spawn(), "node-1"),
    "a report that may be forgotten before it is in the log": (told) => {
      const { checker } = told.append([connected, ...oneStep, handedOver("a")])
      checker.start?.(daemon, spawn())
      checker.frame?.(daemon, reported, "node-1")
    }
  }
)

check(
  repeats,
  (told) => told.append([...begun, answered("key")]).respond(request("key")).respond(request("key")),
  {
    "two answers to a key in the log": (told) => told.append([...begun, answered("key"), answered("key")]),
    "two answers to a key": (told) =>
      told.append([...begun, answered("key")]).respond(request("key")).respond(request("key"), {
        ...answer,
        status: "idle"
      }),
    "a report that leaves two traces": (told) => {
      const ignored = {
        _tag: "ReportIgnored",
        taskId: taskId("a"),
        handOver: 1,
        daemonId,
        report: "failed",
        because: ""
      } as const
      told.append([...oneStep, handedOver("a"), completed("a"), stepCompleted("a"), ignored, ignored])
    }
  }
)

check(
  liveness,
  (told) => told.append([connected, ...oneStep, handedOver("a")]).wait(60_000).checker.end?.(),
  {
    "a task that waits although there is room": (told) => told.append([connected, ...oneStep]).wait(60_000),
    "a directive that never comes to rest": (told) => told.append([connected, ...oneStep]).unsettle().checker.end?.()
  }
)

check(
  owners,
  (told) => told.append([...oneStep, connected]).respond(request("key")),
  {
    "an answer to a stranger": (told) => told.append(begun).respond(request("key", stranger)),
    "a task that is sent to a stranger": (told) =>
      told.append(oneStep).checker.frame?.({ ...daemon, ownerId: stranger }, spawn(), "node-1")
  }
)

check(
  ownFaults,
  (told) => {
    told.append([{ _tag: "ActorFailed", address: "a", cause: "EventLogError: it is away", at: 0 }])
    told.append([{ _tag: "ActorFailed", address: "a", cause: "StreamFenced: a has been taken over", at: 0 }])
  },
  {
    "an actor that fails by itself": (told) =>
      told.append([{ _tag: "ActorFailed", address: "a", cause: "TypeError: x is not a function", at: 0 }]),
    "an actor that is parked": (told) => told.append([{ _tag: "ActorParked", address: "a", at: 0, cause: "" }]),
    "an actor that is left to nobody": (told) =>
      told.append([{ _tag: "ActorTakenOver", address: "a", epoch: 2, until: 1_000 }])
  }
)

const suspected = (lostAt: number): StoredEvent => ({ _tag: "DaemonSuspected", daemonId, reason: "", lostAt })
const lost: StoredEvent = { _tag: "DaemonLost", daemonId }

check(
  absences,
  (told) => {
    told.append([connected, ...oneStep, handedOver("a"), suspected(120_000)]).wait(120_000)
    told.append([lost, failed("the daemon was lost"), connected])
  },
  {
    "a daemon that is lost too early": (told) =>
      told.append([connected, suspected(120_000)]).wait(60_000).append([lost]),
    "a daemon that gets no time": (told) => told.append([connected, suspected(1_000)]),
    "a daemon that is lost while it is here": (told) => told.append([connected, lost]),
    "a task that is taken from a daemon that is not lost": (told) =>
      told.append([connected, ...oneStep, handedOver("a"), failed("the daemon was lost")])
  },
  { profile: profiles.rough }
)

check(
  { ...absences, says: "Nothing fails where nothing happens." },
  (told) => told.append([connected, ...oneStep, handedOver("a")]),
  {
    "a hand-over that fails for no reason": (told) =>
      told.append([...oneStep, handedOver("a"), failed("it has it not")]),
    "a daemon that is suspect for no reason": (told) => told.append([connected, suspected(120_000)])
  }
)

const delayed: StoredEvent = { _tag: "CompletionDelayed", attempt: 1, until: 10_000, reason: "" }
const completion = (attempt: number): StoredEvent => ({ ...task(`c${attempt}`, "completion"), attempt } as StoredEvent)

check(
  bounds,
  (told) => told.append([...begun, completion(1), delayed]).wait(10_000).append([completion(2)]),
  {
    "a hand-over too many": (told) => told.append([...oneStep, handedOver("a", 4)]),
    "an attempt too many": (told) => told.append([...begun, completion(4)]),
    "an attempt too early": (told) => told.append([...begun, completion(1), delayed, completion(2)])
  }
)

const accepted = (revision: number): StoredEvent => ({ _tag: "PlanAccepted", taskId: taskId("p"), revision, steps: 0 })
const paused: StoredEvent = { _tag: "DirectivePaused", reason: "" }
const resumed: StoredEvent = { _tag: "DirectiveResumed" }

check(
  plans,
  (told) =>
    told.append([
      ...begun,
      task("p", "planning"),
      completed("p"),
      paused,
      resumed,
      task("q", "planning"),
      handedOver("q")
    ]),
  {
    "a plan that is made again by itself": (told) =>
      told.append([...begun, task("p", "planning"), completed("p"), task("q", "planning")]),
    "a plan that counts for another goal": (told) => told.append([...begun, task("p", "planning"), accepted(2)]),
    "a plan that is begun while paused": (told) => told.append([...begun, paused, task("p", "planning")]),
    "a step that is begun while paused": (told) => told.append([...oneStep, paused, handedOver("a")])
  }
)

const idled: StoredEvent = { _tag: "DirectiveIdled" }
const stalled: StoredEvent = { _tag: "DirectiveStalled", failed: [], blocked: 1 }
const aStep = [...begun, step("a")]
const aStepDone = [...oneStep, handedOver("a"), completed("a"), stepCompleted("a")]
const withRepository: StoredEvent = { _tag: "DirectiveUpdated", repositoryUrl: "https://git.example/1" }

check(
  rests,
  (told) => told.append([...aStepDone, idled]).checker.end?.(),
  {
    "a directive that is idle with work to do": (told) => told.append([...aStep, idled]).checker.end?.(),
    "a directive that is stalled with work to do": (told) => told.append([...aStep, stalled]).checker.end?.(),
    "a goal that nobody planned": (told) =>
      told.append([...aStepDone, { _tag: "GoalChanged", goal: "Another", revision: 2 }, idled]).checker.end?.(),
    "a step that is in no pull request": (told) => told.append([...aStepDone, withRepository, idled]).checker.end?.()
  }
)

const busy = { ...daemon, running: new Map([[taskId("a"), { isInterrupted: false }]]) }

check(
  interrupts,
  (told) => told.append([connected, ...oneStep, handedOver("a")]).wait(60_000),
  {
    "an interrupt that does not arrive": (told) =>
      told.append([connected, ...oneStep, handedOver("a"), { _tag: "InterruptRequested", taskId: taskId("a") }])
        .wait(60_000)
  },
  { daemons: [busy] }
)

check(
  { ...interrupts, says: "What has ended is stopped." },
  (told) => told.append([connected, ...oneStep, handedOver("a")]).wait(60_000),
  {
    "a daemon that comes back and works on": (told) => told.append([connected, ...aStepDone]).wait(60_000)
  },
  { daemons: [{ ...busy, connectedSince: 1_000 }] }
)

check(
  leases,
  (told) => told.append([...oneStep, connected]).checker.frame?.(daemon, spawn(), "node-1"),
  { "a frame of a process that has lost the owner": (told) => told.checker.frame?.(daemon, spawn(), "node-2") }
)

it("notices that nobody goes on with a directive of an owner that has moved", () => {
  history(leases).append([connected, ...begun]).wait(120_000)
  const others = history(leases, { node: "node-2", home: "node-2", claimant: "node-1" })
  assert.throws(() => others.append([connected, ...begun]).wait(120_000), "goes on with directive")
})

it("notices a slot that is kept for a task that has ended", () => {
  const assigned = [{ node: "node-1", daemon, taskId: taskId("a") }]
  const kept = () => history(slots, { assigned }).append([connected, ...oneStep, handedOver("a")])
  kept().checker.end?.()
  const ended = () => kept().append([completed("a"), stepCompleted("a")])
  assert.throws(() => ended().checker.end?.(), "keeps one of the daemon")
  ended().wait(120_000)
  assert.throws(() => ended().wait(240_000), "keeps one of the daemon")
})

it("notices that a process is taken for dead that has not stood still", () => {
  const { lost } = history(leases).checker
  lost?.("node-1", 45_000)
  assert.throws(() => lost?.("node-1", 5_000), "leases")
})

const otherId = directiveIdOf(ownerId, "the other")
const otherCreated: StoredEvent = {
  _tag: "DirectiveCreated",
  directiveId: otherId,
  ownerId,
  title: "The other",
  goal: "Goal",
  baseBranch: "main",
  memoryEnabled: false
}
const anotherTurn = (told: ReturnType<typeof history>, name: string) =>
  told.append([step(name), ready(name), task(name), handedOver(name)], { stream: `directive-${otherId}` })
const bothBegun = (told: ReturnType<typeof history>) =>
  told.append([connected, ...oneStep]).append([otherCreated, started], { stream: `directive-${otherId}` })

check(
  turns,
  (told) => {
    for (const name of ["b", "c"]) anotherTurn(name === "b" ? bothBegun(told) : told, name)
    told.append([handedOver("a")])
    for (const name of ["d", "e", "f"]) anotherTurn(told, name)
  },
  {
    "a directive that waits while another has slots again and again": (told) => {
      bothBegun(told)
      for (const name of ["b", "c", "d"]) anotherTurn(told, name)
    }
  }
)

it("notices what is written by a process that has lost the owner", () => {
  assert.throws(() => history(leases, { node: "node-2" }).append(begun), "leases")
})

function spawn() {
  return {
    ...unset,
    type: "spawnTask",
    taskId: taskId("a"),
    taskName: "a",
    plan: "",
    repoUrl: null,
    baseBranch: null,
    completionAction: null,
    continueFromTaskId: null,
    directiveId: null,
    handOver: 1
  } as const
}
