/** Registers the contract of event logs for an implementation. */
import { layer as provided } from "@effect/vitest"
import type { Layer } from "effect"
import type { EventLog } from "../../src/events/EventLog.ts"
import * as EventLogContract from "../../src/testing/EventLogContract.ts"

export { fact, facts } from "../../src/testing/internal/contract.ts"

export const suite = <E>(
  name: string,
  layer: Layer.Layer<EventLog, E>,
  includes: (one: EventLogContract.Case) => boolean = () => true
) =>
  provided(layer, { excludeTestServices: true })(name, (it) => {
    for (const { name, run } of EventLogContract.cases.filter(includes)) it.effect(name, () => run)
  })
