/** A directive's life as events, for folding: steps in levels, each readied, handed over, run and completed. */
import * as Directive from "../src/actors/Directive.ts"
import type { DirectiveCommand } from "../src/actors/DirectiveCommand.ts"
import type { DirectiveEvent } from "../src/events/DirectiveEvent.ts"
import { daemonIdOf, OwnerId } from "../src/events/Ids.ts"

const ownerId = OwnerId.make("bench")
const daemonId = daemonIdOf(ownerId, "bench")
const levelSize = 100

export const history = (steps: number): ReadonlyArray<DirectiveEvent> => {
  const context = { now: 0, policy: Directive.defaultPolicy }
  const events: Array<DirectiveEvent> = []
  let state = Directive.empty(Directive.streamOf("00000000-0000-4000-8000-000000000001"))
  const command = (command: DirectiveCommand) => {
    const decided = Directive.decide(state, command, context)
    if (decided._tag === "Failure") throw decided.failure
    events.push(...decided.success.events)
    state = decided.success.state
  }
  command({ _tag: "CreateDirective", ownerId, title: "Bench", goal: "Fold" })
  command({
    _tag: "AddSteps",
    steps: Array.from({ length: steps }, (_, i) => ({
      key: `${i}`,
      name: `step ${i}`,
      orderIndex: Math.floor(i / levelSize),
      dependsOn: i < levelSize ? [] : [`${i - levelSize}`]
    }))
  })
  command({ _tag: "StartDirective" })
  while (true) {
    const [task] = Directive.waitingTasks(state)
    if (task === undefined) return events
    command({ _tag: "HandOver", assignments: [{ taskId: task.id, daemonId }] })
    for (const status of ["running", "completed"] as const) {
      command({ _tag: "ReportTask", taskId: task.id, daemonId, handOver: 1, status })
    }
  }
}
