/** A snapshot of an owner's daemons is the state. That it is used only where it is right is for `internal/recovery.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import * as DaemonRegistry from "../../src/actors/DaemonRegistry.ts"
import { codecFor } from "../../src/actors/DaemonRegistrySnapshot.ts"
import { DaemonEvent } from "../../src/events/DaemonEvent.ts"
import { daemonIdOf } from "../../src/events/Ids.ts"
import { daemonA, now, ownerId } from "../support/directive.ts"

const { DaemonConnected, DaemonLost, DaemonSuspected } = DaemonEvent.cases
const other = daemonIdOf(ownerId, "other")
const codec = codecFor(DaemonRegistry.defaultPolicy)

const connected = (daemonId: typeof daemonA, maxConcurrentTasks: number) =>
  DaemonConnected.make({ daemonId, machineId: "machine", hostname: "host — 🦊", maxConcurrentTasks })

const events: ReadonlyArray<DaemonEvent> = [
  connected(daemonA, 4),
  connected(other, 0),
  DaemonSuspected.make({ daemonId: daemonA, reason: "the connection ended", lostAt: now + 1 }),
  DaemonSuspected.make({ daemonId: other, reason: "the connection ended", lostAt: now }),
  DaemonLost.make({ daemonId: other }),
  connected(daemonA, 2)
]

describe("A snapshot of an owner's daemons", () => {
  it("is the state, after every event, and what is folded on top of it too", () => {
    const copyOf = (state: DaemonRegistry.State) => codec.decode([...codec.encode(state)].join(""))
    let state = DaemonRegistry.empty(DaemonRegistry.defaultPolicy)
    let copy = copyOf(state)
    for (const event of events) {
      state = DaemonRegistry.evolve(state, event)
      copy = copyOf(DaemonRegistry.evolve(copy, event))
      assert.deepStrictEqual(copy, state)
      // What is decided about all of them is decided in their order.
      assert.deepStrictEqual([...copy.daemons.keys()], [...state.daemons.keys()])
    }
  })

  it("has the policy of the process that reads it", () => {
    const policy = { graceMillis: 1 }
    const text = [...codec.encode(DaemonRegistry.empty(DaemonRegistry.defaultPolicy))].join("")
    assert.deepStrictEqual(codecFor(policy).decode(text).policy, policy)
    assert.strictEqual(codecFor(policy).schema, codec.schema)
  })
})
