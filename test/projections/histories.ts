/**
 * Histories as they happen: `Directive.decide` records them while people, planners, daemons and the clock do whatever the
 * numbers say. What is refused is left out.
 */
import { HashMap, Result } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveCommand, NewStep } from "../../src/actors/DirectiveCommand.ts"
import * as Chain from "../../src/events/Chain.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import type { RecordedEvent, StoredEvent, StreamAppend } from "../../src/events/EventLog.ts"
import { DirectiveId, OwnerId, uuidV5 } from "../../src/events/Ids.ts"
import { daemonA, daemonB, now } from "../support/directive.ts"

export interface Decided {
  readonly at: number
  readonly append: StreamAppend & { readonly events: ReadonlyArray<DirectiveEvent> }
}

const hostile = "nul \0, half \ud83d, \"quotes\" and 'more', \\u0000 \\x00, 🦊\u2028${x}"

/** A directive that lives through as many moments as there are choices. */
export const history = (name: string, owner: string, choices: Iterable<number>): ReadonlyArray<Decided> => {
  const stream = Directive.streamOf(DirectiveId.make(uuidV5(name)))
  let state = Directive.empty(stream)
  let at = now
  const decided: Array<Decided> = []
  const send = (command: DirectiveCommand, commandId?: string) => {
    const outcome = Directive.decide(state, command, { now: at, policy: Directive.defaultPolicy }, commandId)
    if (Result.isFailure(outcome) || outcome.success.events.length === 0) return
    const { events } = outcome.success
    decided.push({ at, append: { stream, expected: state.version, events } })
    state = outcome.success.state
  }
  send({
    _tag: "CreateDirective",
    ownerId: OwnerId.make(owner),
    title: `${name} ${hostile.replaceAll("\0", "")}`,
    goal: "Invoices can be exported.",
    repositoryUrl: "/repository",
    memoryEnabled: true,
    start: true
  })
  for (const choice of choices) {
    at += 1_000
    const commands = possibilities(state, choice)
    send(commands[Math.floor(choice / 1000) % commands.length]!, choice % 4 === 0 ? `command ${at}` : undefined)
  }
  return decided
}

const possibilities = (state: Directive.State, choice: number): ReadonlyArray<DirectiveCommand> => {
  const pick = <A>(from: ReadonlyArray<A>): ReadonlyArray<A> =>
    from.length === 0 ? [] : [from[Math.floor(choice / 64) % from.length]!]
  const steps = HashMap.toValues(state.steps).sort((a, b) => a.sequence - b.sequence)
  const tasks = HashMap.toValues(state.tasks).sort((a, b) => (a.id < b.id ? -1 : 1))
  const daemonId = choice % 3 === 0 ? daemonB : daemonA
  const ofTasks = pick(tasks.filter((task) => task.handOvers.length > 0)).flatMap((task) => {
    const past = task.handOvers[choice % task.handOvers.length]!
    const report = { _tag: "ReportTask", taskId: task.id, daemonId: past.daemonId, handOver: past.handOver } as const
    return [
      { ...report, status: "running" },
      { ...report, status: "completed" },
      { ...report, status: "completed" },
      { ...report, status: "failed", reason: hostile },
      { _tag: "FailHandOver", taskId: task.id, handOver: past.handOver, reason: "no answer" },
      { _tag: "InterruptTask", taskId: task.id }
    ] satisfies ReadonlyArray<DirectiveCommand>
  })
  const waiting = [...Directive.waitingTasks(state)].map(({ id }) => ({ taskId: id, daemonId }))
  return [
    { _tag: "HandOver", assignments: waiting },
    { _tag: "HandOver", assignments: waiting.slice(0, 1) },
    { _tag: "AddSteps", steps: batch(steps.map(({ id }) => id), choice) },
    { _tag: "Wake" },
    { _tag: "ResumeDirective" },
    { _tag: "CompleteDirective" },
    { _tag: "SetMemory", key: `key ${choice % 3}`, value: hostile, ...(choice % 2 === 0 ? { category: "style" } : {}) },
    ...ofTasks,
    ...ofTasks,
    ...pick(steps).flatMap(({ id }): ReadonlyArray<DirectiveCommand> => [
      { _tag: "RetryStep", stepId: id },
      { _tag: "SkipStep", stepId: id }
    ]),
    ...(choice % 5 === 0 ? rarely(choice) : [])
  ]
}

const rarely = (choice: number): ReadonlyArray<DirectiveCommand> => [
  { _tag: "UpdateDirective", goal: `Goal ${choice} ${hostile}` },
  { _tag: "UpdateDirective", title: "Another title", prUrl: "https://example.test/pull/1", baseBranch: "trunk" },
  { _tag: "UpdateDirective", repositoryUrl: choice % 2 === 0 ? null : "/elsewhere", memoryEnabled: false },
  { _tag: "PauseDirective", reason: hostile },
  { _tag: "RemoveMemory", key: `key ${choice % 3}` },
  ...(choice % 9 === 0 ? [{ _tag: "ArchiveDirective" } as const] : [])
]

const batch = (existing: ReadonlyArray<string>, choice: number): ReadonlyArray<NewStep> => [
  { key: "a", name: `A${choice} ${hostile.replaceAll("\0", "")}`, description: hostile, orderIndex: choice % 2 },
  { key: "b", name: `B${choice}`, dependsOn: ["a", ...existing.slice(-1)], taskPlan: hostile, orderIndex: 3 },
  { name: `C${choice}`, dependsOn: ["b"], orderIndex: 3 }
]

/** Whole lives for tests that have no choices of their own. */
export const fixed = (name: string, owner: string, seed: number, moments = 40): ReadonlyArray<Decided> => {
  let number = seed
  // A linear congruential generator: any numbers do, as long as they are always the same.
  const next = () => number = (number * 1_103_515_245 + 12_345) % 2_147_483_648
  return history(name, owner, Array.from({ length: moments }, () => next() >> 4))
}

/** The events of an owner's daemons: one that stays, one that goes and comes back, one that is lost. */
export const daemons = (owner: string): StreamAppend => {
  const connect = (daemonId: typeof daemonA, hostname: string): StoredEvent => ({
    _tag: "DaemonConnected",
    daemonId,
    machineId: `machine of ${hostname}`,
    hostname,
    maxConcurrentTasks: 4
  })
  return {
    stream: `daemons-${owner}`,
    expected: "none",
    events: [
      connect(daemonA, "a"),
      connect(daemonB, `b ${hostile}`),
      { _tag: "DaemonSuspected", daemonId: daemonA, reason: "closed", lostAt: now + 120_000 },
      { _tag: "DaemonSuspected", daemonId: daemonB, reason: "closed", lostAt: now + 120_000 },
      connect(daemonA, "a"),
      { _tag: "DaemonLost", daemonId: daemonB }
    ]
  }
}

/** The appends of several histories in turns, as the log would have them. */
export const inTurns = (...histories: ReadonlyArray<ReadonlyArray<Decided>>): ReadonlyArray<Decided> => {
  const longest = Math.max(...histories.map(({ length }) => length))
  return Array.from({ length: longest }, (_, index) => histories.flatMap((one) => one.slice(index, index + 1))).flat()
}

export const recorded = (decided: ReadonlyArray<Decided>): ReadonlyArray<RecordedEvent<DirectiveEvent>> => {
  const heads = new Map<string, { readonly version: number; readonly hash: Chain.Hash }>()
  const all: Array<RecordedEvent<DirectiveEvent>> = []
  for (const { append: { events, stream }, at } of decided) {
    for (const event of events) {
      const before = heads.get(stream) ?? { version: 0, hash: Chain.start }
      const about = { stream, schemaVersion: 1, at, event }
      const head = { version: before.version + 1, hash: Chain.next(before.hash, Chain.contentOf(about)) }
      heads.set(stream, head)
      all.push({ ...about, position: all.length + 1, ...head })
    }
  }
  return all
}
