/** An invariant of our own: what must never be, whatever goes wrong and whatever people do meanwhile. */
import type { Invariant } from "makima-runtime/simulation"
import { isDeploy } from "./planners.ts"

export const oneDeploy: Invariant = {
  name: "one deploy",
  says: "A directive never has two deploys at once.",
  make: ({ ledger, violated }) => ({
    event: ({ event, stream }) => {
      if (event._tag !== "StepStarted") return
      for (const state of ledger.directives.values()) {
        if (state.stream !== stream) continue
        const running = ledger.stepsOf(state.id!).filter((step) => step.status === "running" && isDeploy(step))
        if (running.length > 1) violated("at most one", running.map(({ name }) => name).join(" and "))
      }
    }
  })
}
