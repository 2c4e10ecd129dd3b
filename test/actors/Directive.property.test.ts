/**
 * Goal: whatever is asked of a directive, and in whatever order its tasks end, it keeps its invariants and gets to the
 * same end. Method: generated graphs and command sequences over the pure rules; `support/invariants.ts` looks at every
 * event. It does not check mailboxes, daemons or the log, which have tests of their own.
 */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result, Schema } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveCommand, NewStep } from "../../src/actors/DirectiveCommand.ts"
import { isOpen } from "../../src/actors/DirectiveState.ts"
import { daemonA, daemonB, ownerId, stream, unknownStep, unknownTask } from "../support/directive.ts"
import { Scenario, scenario } from "../support/scenario.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const Plan = Schema.Array(Schema.Struct({
  orderIndex: upTo(2),
  dependsOn: Schema.Array(upTo(20)).check(Schema.isMaxLength(3)),
  succeeds: Schema.Literals([true, true, true, false])
})).check(Schema.isMinLength(1), Schema.isMaxLength(12))

/** Any list of these is a graph: a dependency is made to name an earlier step of the same or a lower orderIndex. */
const graphOf = (plan: typeof Plan.Type): ReadonlyArray<NewStep & { readonly succeeds: boolean }> =>
  plan.map(({ dependsOn, orderIndex, succeeds }, index) => {
    const candidates = plan.slice(0, index).flatMap((other, at) => other.orderIndex <= orderIndex ? [`${at}`] : [])
    const chosen = candidates.length === 0 ? [] : dependsOn.map((one) => candidates[one % candidates.length]!)
    return { key: `${index}`, name: `${index}`, orderIndex, dependsOn: [...new Set(chosen)], succeeds }
  })

/** What spec section 3 says of a graph, without counts: steps run for as long as one can. */
const expectedStatuses = (graph: ReturnType<typeof graphOf>): Record<string, string> => {
  const statuses: Record<string, string> = Object.fromEntries(graph.map(({ name }) => [name, "pending"]))
  const isFinished = (name: string) => statuses[name] === "completed"
  for (let isMoving = true; isMoving;) {
    isMoving = false
    for (const { dependsOn, name, orderIndex, succeeds } of graph) {
      const lower = graph.filter((other) => other.orderIndex! < orderIndex!)
      const canRun = dependsOn!.every(isFinished) && lower.every((other) => isFinished(other.name))
      if (statuses[name] !== "pending" || !canRun) continue
      statuses[name] = succeeds ? "completed" : "failed"
      isMoving = true
    }
  }
  return statuses
}

describe("Directive, for any graph", () => {
  it.prop(
    "ends with the same statuses in whatever order tasks are handed over and end",
    { plan: Plan, choices: Schema.Array(upTo(1000)).check(Schema.isMinLength(1), Schema.isMaxLength(60)) },
    ({ choices, plan }) => {
      const graph = graphOf(plan)
      const run = scenario()
      run.plan(
        ...graph.map(({ dependsOn, key, name, orderIndex }) => ({
          dependsOn: dependsOn!,
          key: key!,
          name,
          orderIndex: orderIndex!
        }))
      )
      const succeeds = (task: Directive.Task) => graph.find(({ name }) => run.stepId(name) === task.stepId)!.succeeds
      for (let turn = 0; run.status === "active"; turn += 1) {
        const choice = choices[turn % choices.length]!
        const open = HashMap.toValues(run.state.tasks).filter(isOpen)
        const waiting = new Set(Directive.waitingTasks(run.state))
        const movable = open.filter((task) => task.status !== "pending" || waiting.has(task))
        const task = movable[choice % movable.length]!
        if (task.status === "pending") {
          run.send({ _tag: "HandOver", assignments: [{ taskId: task.id, daemonId: daemonA }] })
        } else {
          const status = task.status === "starting" && choice % 3 > 0
            ? "running"
            : succeeds(task)
            ? "completed"
            : "failed"
          run.send({ _tag: "ReportTask", taskId: task.id, daemonId: daemonA, handOver: 1, status })
        }
      }
      const expected = expectedStatuses(graph)
      assert.deepStrictEqual(run.statuses, expected)
      assert.strictEqual(run.status, Object.values(expected).includes("pending") ? "stalled" : "idle")
    }
  )
})

/** A move is a kind of command and what it picks: with a handful of steps and tasks, moves meet all the time. */
const Move = Schema.Struct({ kind: upTo(35), pick: upTo(50), other: upTo(50) })
const Moves = Schema.Array(Move).check(Schema.isMaxLength(150))

const pickFrom = <A, B>(all: ReadonlyArray<A>, pick: number, otherwise: B): A | B =>
  all.length === 0 ? otherwise : all[pick % all.length]!

const commandOf = ({ kind, other, pick }: typeof Move.Type, state: Directive.State): DirectiveCommand => {
  const tasks = HashMap.toValues(state.tasks)
  const open = tasks.filter(isOpen)
  const steps = HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence)
  const step = pickFrom(steps, pick, undefined)
  const stepId = step?.id ?? unknownStep
  const failedId = steps.find((one) => one.status === "failed")?.id
  const goingOn = open.filter((one) => one.status !== "pending")
  const task = pickFrom(other % 4 === 0 ? tasks : goingOn.length > 0 ? goingOn : open, pick, undefined)
  const taskId = task?.id ?? unknownTask
  const daemonId = other % 2 === 0 ? daemonA : daemonB
  const report = (status: "starting" | "running" | "completed" | "failed" | "interrupted"): DirectiveCommand => {
    const its = task === undefined ? undefined : pickFrom(task.handOvers, other, undefined)
    return {
      _tag: "ReportTask",
      taskId,
      daemonId: its?.daemonId ?? daemonId,
      ...(other % 5 === 0 || its === undefined ? {} : { handOver: its.handOver }),
      status
    }
  }
  switch (kind) {
    case 0:
      return { _tag: "StartDirective" }
    case 1:
      return { _tag: "UpdateDirective", goal: `goal ${pick % 2}` }
    case 2:
      return { _tag: "UpdateDirective", repositoryUrl: pick % 2 === 0 ? null : "/repo", prUrl: `pr ${pick % 2}` }
    case 3:
      return pick % 4 === 0 ? { _tag: "PauseDirective" } : { _tag: "ResumeDirective" }
    case 4:
    case 5:
      return { _tag: "ResumeDirective" }
    case 6:
      return pick === 0 ? { _tag: "ArchiveDirective" } : { _tag: "CompleteDirective" }
    case 7:
    case 8: {
      const orderIndex = other % 3
      const known = steps.filter((one) => one.orderIndex <= orderIndex)
      const dependsOn = known.length === 0 ? [] : [known[pick % known.length]!.id]
      return {
        _tag: "AddSteps",
        steps: [
          { key: "a", name: "A", orderIndex, dependsOn: pick % 2 === 0 ? [] : dependsOn },
          { name: "B", orderIndex: orderIndex + (pick % 2), dependsOn: pick % 3 === 0 ? ["a"] : [] }
        ]
      }
    }
    case 9:
      return { _tag: "RetryStep", stepId: failedId ?? stepId }
    case 10:
      return { _tag: "SkipStep", stepId }
    case 11:
      return { _tag: "InterruptTask", taskId }
    case 12:
      return { _tag: "FailHandOver", taskId, handOver: task?.handOvers.length ?? 0, reason: "lost" }
    case 13:
    case 14:
      return report("running")
    case 15:
    case 16:
    case 17:
    case 33:
    case 34:
    case 35:
      return report("completed")
    case 18:
      return report("failed")
    case 19:
      return report("interrupted")
    case 20:
      return { _tag: "Wake" }
    default: {
      const waiting = [...Directive.waitingTasks(state)].slice(0, 1 + (pick % 3))
      return { _tag: "HandOver", assignments: waiting.map(({ id }) => ({ taskId: id, daemonId })) }
    }
  }
}

const play = (moves: typeof Moves.Type): Scenario => {
  const run = new Scenario()
  run.send({ _tag: "CreateDirective", ownerId, title: "T", goal: "G", start: true, repositoryUrl: "/repo" })
  for (const [turn, move] of moves.entries()) {
    run.now += move.other * 1000
    const command = commandOf(move, run.state)
    // Every seventh command carries a key out of three, so that keys repeat.
    const commandId = turn % 7 === 0 ? `key ${turn % 3}` : undefined
    // A refusal is an answer: it changes nothing.
    if (Result.isSuccess(run.decide(command, commandId))) run.send(command, commandId)
  }
  return run
}

describe("Directive, for any commands", () => {
  // Sequences get this long at the end: a directive needs about twenty moves to get anywhere.
  const options = { arbitrary: { size: 150 } }

  it.prop("keeps its invariants after every event, and its counts true", [Moves], ([moves]) => {
    play(moves)
  }, options)

  it.prop("decides the same commands to the same bytes", [Moves], ([moves]) => {
    assert.strictEqual(JSON.stringify(play(moves).events), JSON.stringify(play(moves).events))
  }, options)

  it.prop("comes to rest once its tasks end", [Moves], ([moves]) => {
    const run = play(moves)
    run.now += 1_000_000
    const underWay = () => HashMap.toValues(run.state.tasks).filter((task) => isOpen(task) && task.status !== "pending")
    const isMoving = () => run.waiting.length + underWay().length > 0 || run.dueAt !== undefined
    for (let turn = 0; isMoving() || run.status === "active"; turn += 1) {
      assert.isBelow(turn, 1000, "it never rests")
      if (run.status === "paused") run.send({ _tag: "ResumeDirective" })
      for (const task of underWay()) {
        const last = task.handOvers.at(-1)!
        // Plans end well and add a step; every other task ends as its id has it.
        if (task.kind === "planning" && run.status !== "archived") run.addSteps({ name: "planned" })
        const status = task.kind === "planning" || task.id > "8" ? "completed" : "failed"
        run.send({ _tag: "ReportTask", taskId: task.id, daemonId: last.daemonId, handOver: last.handOver, status })
      }
      run.handOverAll()
      const due = run.dueAt
      if (due !== undefined) run.pass(Math.max(0, due - run.now))
    }
    assert.include(["idle", "stalled", "paused", "archived"], run.status)
  }, options)

  it.prop("hears everything twice and does it once", [Moves], ([moves]) => {
    const run = play([])
    for (const move of moves) {
      const command = commandOf(move, run.state)
      if (command._tag !== "ReportTask" && command._tag !== "FailHandOver" && command._tag !== "Wake") {
        if (Result.isSuccess(run.decide(command))) run.send(command)
        continue
      }
      if (Result.isFailure(run.decide(command))) continue
      run.send(command)
      // A report without a hand-over means whichever its machine holds, so it is the same one only for as long as
      // nothing is handed over in between: it is sent again at once.
      assert.deepStrictEqual(run.send(command), [])
    }
  }, options)

  it.prop("wants to be woken only when something comes of it", [Moves], ([moves]) => {
    const run = play(moves)
    const due = run.dueAt
    if (due === undefined) return
    const isExclusion = due === run.state.excludedUntil
    run.now = Math.max(run.now, due)
    const recorded = run.send({ _tag: "Wake" })
    assert.isTrue(isExclusion || recorded.length > 0)
  }, options)

  it.prop("is the same when it is folded from its log", [Moves], ([moves]) => {
    const { events, state } = play(moves)
    const stored = JSON.parse(JSON.stringify(events)) as typeof events
    assert.deepStrictEqual(stored.reduce(Directive.evolve, Directive.empty(stream)), state)
  }, options)
})
