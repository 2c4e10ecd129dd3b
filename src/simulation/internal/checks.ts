/** What all checkers of a run hear of. */
import type { ServerFrame, SpawnTask } from "../../daemon/Protocol.ts"
import type { RecordedEvent } from "../../events/EventLog.ts"
import type { Snapshot } from "../../events/Snapshots.ts"
import type { Request, Response } from "./client.ts"
import type { SimulatedDaemon } from "./daemon.ts"
import type { Machine } from "./machine.ts"

export interface Checks {
  onCommit(events: ReadonlyArray<RecordedEvent>, node: string): void
  onSnapshot(snapshot: Snapshot): void
  onRequest(request: Request): void
  onResponse(request: Request, response: Response, machine: Machine): void
  /** A process is about to send this to a daemon. */
  onFrame(daemon: SimulatedDaemon, frame: ServerFrame, node: string): void
  /** A daemon is about to start an agent for this. */
  onStart(daemon: SimulatedDaemon, spawn: SpawnTask): void
  /** A process hears that another has taken over from it. It stood still for so long at most. */
  onLost(node: string, stoodStillMillis: number): void
  onTick(): void
  /** Throws what does not hold. */
  onEnd(): void
  /** Whether nothing is under way any more. */
  isSettled(): boolean
}
