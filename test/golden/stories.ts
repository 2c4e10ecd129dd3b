/**
 * What a release writes into its golden log: histories as they happen, decided by the rules of that release. Whoever adds
 * an event type adds to a story here what leads to it.
 */
import { HashMap, Result } from "effect"
import * as DaemonRegistry from "../../src/actors/DaemonRegistry.ts"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveCommand, NewStep, Report } from "../../src/actors/DirectiveCommand.ts"
import * as Supervisor from "../../src/actors/Supervisor.ts"
import * as Chain from "../../src/events/Chain.ts"
import type { Cause, RecordedEvent, StoredEvent } from "../../src/events/EventLog.ts"
import { daemonIdOf, DirectiveId, OwnerId, uuidV5 } from "../../src/events/Ids.ts"
import * as Vocabulary from "../../src/events/Vocabulary.ts"
import { fixed } from "../projections/histories.ts"

const ownerId = OwnerId.make("ada")
const here = daemonIdOf(ownerId, "machine-1")
const there = daemonIdOf(ownerId, "machine-2")

/** A log in the making, and what time it is in it. */
class Chronicle {
  /** 2026-01-01T00:00:00Z. */
  now = 1_767_225_600_000
  readonly events: Array<RecordedEvent> = []
  readonly #heads = new Map<string, { readonly version: number; readonly hash: Chain.Hash }>()

  append(stream: string, events: ReadonlyArray<StoredEvent>, cause: Cause = {}) {
    for (const event of events) {
      const before = this.#heads.get(stream) ?? { version: 0, hash: Chain.start }
      const about = { stream, schemaVersion: Vocabulary.versionOf(event), at: this.now, event, ...cause }
      const head = { version: before.version + 1, hash: Chain.next(before.hash, Chain.contentOf(about)) }
      this.#heads.set(stream, head)
      this.events.push({ ...about, position: this.events.length + 1, ...head })
    }
  }
}

/** A directive to which things happen, a second apart. */
class Life {
  readonly stream: string
  readonly #log: Chronicle
  #state: Directive.State

  constructor(log: Chronicle, name: string) {
    this.#log = log
    this.stream = Directive.streamOf(DirectiveId.make(uuidV5(name)))
    this.#state = Directive.empty(this.stream)
  }

  send(command: DirectiveCommand, cause: Cause = {}) {
    this.#log.now += 1_000
    const context = { now: this.#log.now, policy: Directive.defaultPolicy }
    const { events, state } = Result.getOrThrow(Directive.decide(this.#state, command, context, cause.commandId))
    this.#log.append(this.stream, events, cause)
    this.#state = state
  }

  stepId(name: string) {
    return HashMap.toValues(this.#state.steps).find((step) => step.name === name)!.id
  }

  /** The task of a step, or the one that plans or completes and has not ended. */
  task(of: string): Directive.Task {
    const tasks = HashMap.toValues(this.#state.tasks)
    const stepId = HashMap.toValues(this.#state.steps).find((step) => step.name === of)?.id
    const isOf = (task: Directive.Task) => stepId === undefined ? task.kind === of : task.stepId === stepId
    return tasks.find((task) => isOf(task) && ["pending", "starting", "running"].includes(task.status))!
  }

  handOver(of: string, daemonId = here) {
    this.send({ _tag: "HandOver", assignments: [{ taskId: this.task(of).id, daemonId }] })
  }

  report(of: string, status: Report["status"], reason?: string) {
    const { handOvers, id: taskId } = this.task(of)
    const { daemonId, handOver } = handOvers.at(-1)!
    const why = reason === undefined ? {} : { reason }
    this.send({ _tag: "ReportTask", taskId, daemonId, handOver, status, ...why })
  }

  /** From its hand-over to its end. */
  carryOut(of: string, status: "completed" | "failed" = "completed", reason?: string) {
    this.handOver(of)
    this.report(of, "running")
    this.report(of, status, reason)
  }
}

const step = (name: string, dependsOn: ReadonlyArray<string> = [], orderIndex = 0): NewStep => ({
  key: name,
  name,
  description: `${name} of the invoices`,
  taskPlan: `Do "${name}" — and nothing else.`,
  dependsOn,
  orderIndex
})

/** From a draft to an archive, with a plan that is made twice and everything that can go wrong on the way. */
const toldInFull = (log: Chronicle) => {
  const life = new Life(log, "golden: told in full")
  life.send({
    _tag: "CreateDirective",
    ownerId,
    title: "Export invoices",
    goal: "Invoices can be exported as CSV — ünïcode, 日本語 and 🦊 included.",
    repositoryUrl: "https://example.test/shop.git",
    memoryEnabled: true
  }, { commandId: "create-1", correlationId: "request-1" })
  life.send({ _tag: "SetMemory", key: "tests", value: "npm test", category: "commands" })
  life.send({ _tag: "SetMemory", key: "editor", value: "any" })
  life.send({ _tag: "RemoveMemory", key: "editor" })
  life.send({ _tag: "StartDirective" }, { commandId: "start-1", causationId: `${life.stream}@2` })
  planned(log, life)
  worked(log, life)
  completed(log, life)
}

const planned = (log: Chronicle, life: Life) => {
  life.handOver("planning", there)
  const { id: taskId } = life.task("planning")
  life.send({ _tag: "FailHandOver", taskId, handOver: 1, reason: "its daemon is lost" })
  log.now += Directive.defaultPolicy.exclusionMillis
  life.handOver("planning")
  // The daemon that was given up comes back and says that it could not do it.
  life.send({ _tag: "ReportTask", taskId, daemonId: there, handOver: 1, status: "failed", reason: "it was restarted" })
  life.report("planning", "running")
  life.send({
    _tag: "AddSteps",
    steps: [step("Model"), step("Writer", ["Model"]), step("Reader", ["Model"]), step("Page", ["Writer", "Reader"], 1)]
  }, { commandId: "plan-1" })
  life.report("planning", "completed")
}

const worked = (log: Chronicle, life: Life) => {
  life.carryOut("Model")
  life.carryOut("Writer", "failed", "exit status 1:\nnot \"ok\" 3 - quotes \0 and NUL")
  life.handOver("Reader", there)
  life.send({ _tag: "InterruptTask", taskId: life.task("Reader").id })
  life.report("Reader", "interrupted", "interrupted by command")
  life.send({ _tag: "RetryStep", stepId: life.stepId("Writer") }, { commandId: "retry-1" })
  life.carryOut("Writer")
  life.send({ _tag: "SkipStep", stepId: life.stepId("Reader") })
  life.send({ _tag: "PauseDirective", reason: "lunch" })
  life.send({ _tag: "ResumeDirective" })
  life.send({ _tag: "UpdateDirective", title: "Export all invoices", baseBranch: "trunk" })
  life.send({ _tag: "UpdateDirective", goal: "Invoices can be exported as CSV and JSON." }, {
    correlationId: "request-2"
  })
  life.handOver("planning")
  life.send({ _tag: "AddSteps", steps: [step("JSON", [], 2)] })
  life.report("planning", "completed")
  for (const name of ["Page", "JSON"]) life.carryOut(name)
}

const completed = (log: Chronicle, life: Life) => {
  for (const reason of ["a conflict in src/invoices.ts", "no network", "the branch is protected"]) {
    life.carryOut("completion", "failed", reason)
    log.now += 24 * 60 * 60 * 1_000
    life.send({ _tag: "Wake" })
  }
  life.send({ _tag: "CompleteDirective" })
  life.handOver("completion")
  life.send({ _tag: "UpdateDirective", prUrl: "https://example.test/shop/pull/1" })
  life.report("completion", "completed")
  life.send({ _tag: "UpdateDirective", repositoryUrl: null, memoryEnabled: false })
  life.send({ _tag: "AddSteps", steps: [step("Afterthought")] })
  life.send({ _tag: "ArchiveDirective" })
}

/** Nothing but its end is read of it any more. */
const removed = (log: Chronicle) => {
  const life = new Life(log, "golden: removed")
  life.send({ _tag: "CreateDirective", ownerId, title: "Export orders", goal: "Orders can be exported." })
  life.send({ _tag: "ArchiveDirective" })
  log.append(life.stream, [{
    _tag: "DirectiveRemoved",
    directiveId: DirectiveId.make(life.stream.slice("directive-".length)),
    ownerId,
    version: 2,
    hash: "5".repeat(64),
    exported: "e".repeat(64)
  }])
}

const daemons = (log: Chronicle) => {
  let state = DaemonRegistry.empty(DaemonRegistry.defaultPolicy)
  const send = (command: DaemonRegistry.Command) => {
    const decided = Result.getOrThrow(DaemonRegistry.decide(state, command, log.now))
    log.append(`daemons-${ownerId}`, decided.events)
    state = decided.state
  }
  const connect = (daemonId: typeof here, machineId: string) =>
    send({ _tag: "Connect", daemonId, machineId, hostname: `${machineId}.example.test`, maxConcurrentTasks: 4 })
  connect(here, "machine-1")
  connect(there, "machine-2")
  for (const daemonId of [here, there]) send({ _tag: "Disconnect", daemonId, reason: "the connection ended" })
  connect(here, "machine-1")
  log.now += DaemonRegistry.defaultPolicy.graceMillis
  send({ _tag: "Wake" })
}

const supervision = (log: Chronicle) => {
  let state = Supervisor.empty(Supervisor.defaultPolicy)
  const send = (command: Supervisor.Command) => {
    const decided = Result.getOrThrow(Supervisor.decide(state, command, log.now))
    log.append("supervisor-golden", decided.events)
    state = decided.state
  }
  const [fails, stops] = ["directive-1", `daemons-${ownerId}`] as const
  for (const address of [fails, stops]) send({ _tag: "ReportStart", address })
  for (let failures = 0; failures <= Supervisor.defaultPolicy.restartsMax; failures++) {
    log.now += 100
    send({
      _tag: "ReportFailure",
      address: fails,
      cause: "TypeError: x is undefined\n  at y",
      reason: "TypeError: x is undefined",
      outage: false,
      chance: 0.5
    })
  }
  send({ _tag: "ResumeActor", address: fails })
  send({ _tag: "ReportStart", address: fails })
  const full = "EventLogError: the disk is full"
  send({ _tag: "ReportFailure", address: fails, cause: full, reason: full, outage: true, chance: 0 })
  send({ _tag: "ReportStop", addresses: [stops] })
  send({ _tag: "ReportStart", address: stops })
  send({ _tag: "ReportPassivation", address: stops })
  send({ _tag: "ReportTakeOver", address: fails, epoch: 2 })
}

/** Whatever may happen in whatever order, to somebody whose texts are unkind. */
const unkind = (log: Chronicle) => {
  for (const seed of [7, 11]) {
    for (const { append: { events, stream }, at } of fixed(`golden: unkind ${seed}`, "grace", seed)) {
      log.now = Math.max(log.now, at)
      log.append(stream, events)
    }
  }
}

export const stories = (): ReadonlyArray<RecordedEvent> => {
  const log = new Chronicle()
  for (const story of [daemons, toldInFull, supervision, unkind, removed]) story(log)
  return log.events
}

/** The types that no event of a log is of, and the fields that no event of its type has. */
export const missing = (events: ReadonlyArray<RecordedEvent>): ReadonlyArray<string> => {
  const told = new Set(events.flatMap(({ event }) => Object.keys(event).map((field) => `${event._tag}.${field}`)))
  return Object.entries(Vocabulary.cases).flatMap(([type, { fields }]) =>
    told.has(`${type}._tag`)
      ? Object.keys(fields).map((field) => `${type}.${field}`).filter((name) => !told.has(name))
      : [type]
  )
}
