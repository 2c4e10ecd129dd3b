import { it } from "makima-runtime/simulation/vitest"
import process from "node:process"
import { oneDeploy } from "./oneDeploy.ts"
import * as Planners from "./planners.ts"

const agent = process.env["PLANNER"] === "hasty" ? Planners.hasty : Planners.careful

it.simulate("a directive has one deploy at a time", {
  agent,
  seeds: 5,
  directive: (index) => ({ title: `Release ${index}`, goal: "Release what there is" }),
  invariants: [oneDeploy]
})
