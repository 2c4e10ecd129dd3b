/**
 * What every event log promises, as cases that an implementation has to pass. They need no test framework: each is an
 * effect that fails with an `AssertionError` where a promise is not kept, so a suite registers them in a line.
 *
 *     for (const { name, run } of EventLogContract.cases) it.effect(name, () => run)
 *
 * Cases share a log, which may have events already, and run one after another: nobody else may write meanwhile. They
 * wait for what happens and never for a time, on the real clock, because a database does not wait for a virtual one.
 * What happens when a store crashes or cannot be reached is not here: that needs hands on the store.
 */
import { chains } from "./internal/chains.ts"
import type { Case } from "./internal/contract.ts"
import { expectations } from "./internal/expectations.ts"
import { groups } from "./internal/groups.ts"
import { ownership } from "./internal/ownership.ts"
import { payloads } from "./internal/payloads.ts"
import { reading } from "./internal/reading.ts"
import { subscriptions } from "./internal/subscriptions.ts"

export type { Case }

export const cases: ReadonlyArray<Case> = [
  ...expectations,
  ...groups,
  ...reading,
  ...subscriptions,
  ...payloads,
  ...ownership,
  ...chains
]
