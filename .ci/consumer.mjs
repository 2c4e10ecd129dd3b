// The program of the README, as somebody runs it who has installed the package.
import { start } from "makima-runtime"

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
