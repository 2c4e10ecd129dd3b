/**
 * Runs seeds of the simulator that is in the given sources, each profile in turn, and stops at the first violation: a
 * process for one mutant. Each line of its output is JSON: the seed that begins, and at last how it ended.
 */
import { argv } from "node:process"
import { pathToFileURL } from "node:url"
import type * as Profile from "../../src/simulation/Profile.ts"
import type * as Simulation from "../../src/simulation/Simulation.ts"

const [sources, first, count] = argv.slice(2)
// The copy is the same code but for the mistake in it, so it has the same types.
const load = <Module>(path: string): Promise<Module> => import(pathToFileURL(`${sources}/${path}`).href)
const { profiles } = await load<typeof Profile>("simulation/Profile.ts")
const { run } = await load<typeof Simulation>("simulation/Simulation.ts")
const names = Object.values(profiles).map(({ name }) => name as keyof typeof profiles)
const say = (line: object) => console.log(JSON.stringify(line))

const find = () => {
  for (let index = 0; index < Number(count); index += 1) {
    const seed = Number(first) + index
    const profile = names[index % names.length]!
    say({ seed, profile })
    const { violation } = run({ seed, profile })
    if (violation !== undefined) {
      const { invariant, message } = violation
      return say({ invariant, message })
    }
  }
  say({ isOver: true })
}
find()
