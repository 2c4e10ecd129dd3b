// The program of the README, as somebody runs it who has installed the package, and the simulator without vitest.
import { start } from "makima-runtime"
import { run } from "makima-runtime/simulation"

const makima = await start({ store: { dataDirectory: "data" } })
const done = []
await makima.daemon(async (task) => {
  done.push(task.taskName)
})
const { directiveId } = await makima.createDirective({ title: "Greet", goal: "Say hello" })
await makima.addSteps(directiveId, [{ key: "a", name: "a" }, { name: "b", dependsOn: ["a"] }])
await makima.command(directiveId, { _tag: "StartDirective" })
const { directive } = await makima.settled(directiveId)
await makima.stop()
if (directive.status !== "idle" || done.join() !== "Greet: a,Greet: b") {
  throw new Error(`expected two steps and idle, got ${done} and ${directive.status}`)
}

const steps = [{ key: "a", name: "a" }, { name: "b", dependsOn: ["a"] }]
for (const seed of [1, 2, 3]) {
  const { events, violation } = run({
    seed,
    directive: (index) => ({ title: `Greet ${index}`, goal: "Say hello", steps }),
    agent: ({ kind }) => kind === "step" ? { millis: 60_000, ends: "well" } : {}
  })
  if (violation !== undefined) throw violation
  if (!events.some(({ event }) => event._tag === "StepCompleted")) throw new Error(`no step completed with seed ${seed}`)
}
