/** The event log for commands that only read it. */
import { Layer } from "effect"
import * as PostgresEventLog from "../events/PostgresEventLog.ts"
import { layerExistingDatabase, layerLogs, type Store } from "./Configuration.ts"

/** The event log of the store, without anything that would write to it. */
export const layerLog = (store: Store) =>
  PostgresEventLog.layer.pipe(Layer.provide(layerExistingDatabase(store)), Layer.provideMerge(layerLogs("Warn")))
