/** Two planners that have a change tested and deployed, one of which forgets that a goal may change halfway. */
import type { Agent, Step } from "makima-runtime/simulation"

export const isDeploy = ({ name }: Pick<Step, "name">): boolean => name.startsWith("Deploy")

/** Takes its plan for the only one. */
export const hasty: Agent = ({ kind, round }) => kind === "planning" ? planOf(round, []) : {}

/** Lets a deploy wait for those of earlier plans. */
export const careful: Agent = ({ kind, round, steps }) =>
  kind === "planning" ? planOf(round, steps.filter(isDeploy)) : {}

const planOf = (round: number, earlier: ReadonlyArray<Step>): ReturnType<Agent> => ({
  commands: [{
    after: 10_000,
    command: {
      _tag: "AddSteps",
      steps: [
        { key: "test", name: `Test ${round}` },
        { name: `Deploy ${round}`, dependsOn: ["test", ...earlier.map(({ id }) => id)] }
      ]
    }
  }]
})
