/** The life of a directive in a few words: commands are decided one after the other, and everything is checked. */
import { assert } from "@effect/vitest"
import { HashMap, Result } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveCommand, NewStep, Rejection, Report } from "../../src/actors/DirectiveCommand.ts"
import { taskOf } from "../../src/actors/DirectiveState.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import type { DaemonId, StepId, TaskId } from "../../src/events/Ids.ts"
import { daemonA, now, ownerId, stream } from "./directive.ts"
import { checkEvent, checkSettled } from "./invariants.ts"

type Create = Partial<Extract<DirectiveCommand, { _tag: "CreateDirective" }>>

export class Scenario {
  state = Directive.empty(stream)
  now = now
  policy = Directive.defaultPolicy
  readonly events: Array<DirectiveEvent> = []

  /** Decides a command, which has to be accepted, and returns the tags of what it recorded. */
  send(command: DirectiveCommand, commandId?: string): ReadonlyArray<DirectiveEvent["_tag"]> {
    const { events, state } = Result.getOrThrow(this.decide(command, commandId))
    for (const event of events) {
      const before = this.state
      this.state = Directive.evolve(before, event)
      checkEvent(before, event, this.state)
    }
    assert.deepStrictEqual(this.state, state)
    checkSettled(this.state)
    this.events.push(...events)
    return events.map((event) => event._tag)
  }

  decide(command: DirectiveCommand, commandId?: string): Result.Result<Directive.Decision, Rejection> {
    return Directive.decide(this.state, command, { now: this.now, policy: this.policy }, commandId)
  }

  /** The sentence with which a command is refused. */
  refusal(command: DirectiveCommand): string {
    return Result.match(this.decide(command), { onFailure: (error) => error.message, onSuccess: () => "accepted" })
  }

  get status() {
    return this.state.status
  }

  get statuses(): Record<string, string> {
    const steps = HashMap.toValues(this.state.steps).sort((a, b) => a.sequence - b.sequence)
    return Object.fromEntries(steps.map((step) => [step.name, step.status]))
  }

  get waiting(): ReadonlyArray<string> {
    return [...Directive.waitingTasks(this.state)].map((task) => task.name.replace(`${this.state.title}: `, ""))
  }

  get dueAt(): number | undefined {
    return Directive.dueAt(this.state, this.now)
  }

  last<Tag extends DirectiveEvent["_tag"]>(tag: Tag): Extract<DirectiveEvent, { _tag: Tag }> {
    const found = this.events.findLast((event) => event._tag === tag)
    assert.isDefined(found, `${tag} was never recorded`)
    return found as Extract<DirectiveEvent, { _tag: Tag }>
  }

  count(tag: DirectiveEvent["_tag"]): number {
    return this.events.filter((event) => event._tag === tag).length
  }

  step(name: string): Directive.Step {
    const found = HashMap.toValues(this.state.steps).find((step) => step.name === name)
    assert.isDefined(found, `there is no step ${name}`)
    return found
  }

  stepId(name: string): StepId {
    return this.step(name).id
  }

  /** The task of a step, or the newest planning (`Plan`) or completion (`PR`) task. */
  task(of: string): Directive.Task {
    const kind = of === "Plan" ? "planning" : of === "PR" ? "completion" : undefined
    const created = this.events.findLast((event) =>
      event._tag === "TaskCreated" && (kind === undefined ? event.stepId === this.stepId(of) : event.kind === kind)
    )
    assert.isTrue(created?._tag === "TaskCreated", `${of} has no task`)
    return taskOf(this.state, (created as { readonly taskId: TaskId }).taskId)!
  }

  addSteps(...steps: ReadonlyArray<NewStep>) {
    return this.send({ _tag: "AddSteps", steps })
  }

  handOver(of: string, daemonId: DaemonId = daemonA) {
    return this.send({ _tag: "HandOver", assignments: [{ taskId: this.task(of).id, daemonId }] })
  }

  /** Hands everything over that can be. */
  handOverAll(daemonId: DaemonId = daemonA) {
    const assignments = [...Directive.waitingTasks(this.state)].map(({ id }) => ({ taskId: id, daemonId }))
    return this.send({ _tag: "HandOver", assignments })
  }

  /** A report of the latest hand-over, unless told otherwise. */
  report(of: string, status: Report["status"], options?: Partial<Report>) {
    const task = this.task(of)
    const last = task.handOvers.at(-1)
    const report = { taskId: task.id, daemonId: last?.daemonId ?? daemonA, handOver: last?.handOver ?? 1, status }
    return this.send({ _tag: "ReportTask", ...report, ...options })
  }

  loseDaemon(of: string) {
    const { handOvers, id } = this.task(of)
    return this.send({ _tag: "FailHandOver", taskId: id, handOver: handOvers.length, reason: "its daemon is lost" })
  }

  /** Hands the task over and has it end in this way. */
  end(of: string, status: "completed" | "failed" | "interrupted") {
    if (this.task(of).status === "pending") this.handOver(of)
    return this.report(of, status, status === "completed" ? {} : { reason: `${of} went wrong` })
  }

  /** The planning task adds these steps and ends well. */
  plan(...steps: ReadonlyArray<NewStep>) {
    if (this.task("Plan").status === "pending") this.handOver("Plan")
    this.addSteps(...steps)
    return this.report("Plan", "completed")
  }

  /** Lets so much time pass, and then the directive have its look at the clock. */
  pass(millis: number) {
    this.now += millis
    return this.send({ _tag: "Wake" })
  }
}

/** A directive that is started and has a repository; its planning task waits for a daemon. */
export const scenario = (options?: Create): Scenario => {
  const begun = new Scenario()
  begun.send({
    _tag: "CreateDirective",
    ownerId,
    title: "Export invoices",
    goal: "Invoices can be exported as CSV.",
    repositoryUrl: "https://example.test/shop.git",
    start: true,
    ...options
  })
  return begun
}

/** A step that is its own key. */
export const step = (name: string, dependsOn: ReadonlyArray<string> = [], orderIndex = 0): NewStep => ({
  key: name,
  name,
  dependsOn,
  orderIndex
})
