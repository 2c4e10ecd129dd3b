/**
 * What has to hold in every run, and how a checker says that it does not. Each checker hears of everything that happens,
 * and keeps a picture of its own where it would otherwise believe the code that it checks.
 */
import type { DaemonFrame, ServerFrame, SpawnTask } from "../daemon/Protocol.ts"
import type { RecordedEvent } from "../events/EventLog.ts"
import type { DaemonId, OwnerId, TaskId } from "../events/Ids.ts"
import type { Snapshot } from "../events/Snapshots.ts"
import type { LoggedEvent } from "../events/Unreadable.ts"
import type { Request, Response } from "./internal/client.ts"
import type { Ledger } from "./internal/ledger.ts"
import type { Profile } from "./Profile.ts"

export type { DaemonFrame, Ledger, RecordedEvent, Request, Response, ServerFrame, Snapshot, SpawnTask }

/** A simulated daemon, as far as checkers look at it. */
export interface ObservedDaemon {
  readonly name: string
  readonly daemonId: DaemonId
  readonly ownerId: OwnerId
  readonly maxConcurrentTasks: number
  readonly running: ReadonlyMap<TaskId, { readonly isInterrupted: boolean }>
  readonly isConnected: boolean
  /** Virtual milliseconds at which its connection was made. */
  readonly connectedSince: number
}

/** A slot of a daemon that a process takes for taken. */
export interface Assigned {
  readonly node: string
  readonly daemon: ObservedDaemon
  readonly taskId: TaskId
}

/** What a checker can look at. */
export interface Observed {
  readonly profile: Profile
  readonly ledger: Ledger
  readonly daemons: () => ReadonlyArray<ObservedDaemon>
  /** Which process has an owner: nothing where there is one process alone, or none has it. */
  readonly homeOf: (ownerId: OwnerId) => string | undefined
  /** Which process has claimed a stream last, by the log. */
  readonly claimantOf: (stream: string) => string | undefined
  /** Whether a process lives, goes on and reaches the store. */
  readonly isUp: (node: string) => boolean
  /** What processes that are up believe that daemons have. */
  readonly assigned: () => ReadonlyArray<Assigned>
  /** Everything that was committed, in order. */
  readonly events: ReadonlyArray<RecordedEvent>
  /** What a subscriber has got of it. */
  readonly seen: () => ReadonlyArray<LoggedEvent>
  /** Virtual milliseconds since the run began. */
  readonly now: () => number
  /** The time of the runtime's clocks, in milliseconds since 1970. */
  readonly clock: () => number
  /** Since when nothing goes wrong any more, in virtual milliseconds; undefined while it may. */
  readonly calmSince: () => number | undefined
  /** Whether nothing is under way any more. */
  readonly isSettled: () => boolean
  /** Says that the invariant does not hold. */
  readonly violated: (expected: string, found: string) => never
}

export interface Checker {
  /** After an event was committed. The ledger has it already. */
  readonly event?: (recorded: RecordedEvent) => void
  /** After all events of one append, by this process. */
  readonly committed?: (events: ReadonlyArray<RecordedEvent>, node: string) => void
  /** An actor has kept its state, which is what it has in memory. */
  readonly snapshot?: (snapshot: Snapshot) => void
  readonly request?: (request: Request) => void
  readonly response?: (request: Request, response: Response) => void
  /** A process sends a frame to a daemon. */
  readonly frame?: (daemon: ObservedDaemon, frame: ServerFrame, node: string) => void
  /** A daemon gets a task that it does not have yet. */
  readonly start?: (daemon: ObservedDaemon, spawn: SpawnTask) => void
  /** A process hears that another has taken over from it. It has stood still for so long at most, in virtual milliseconds. */
  readonly lost?: (node: string, stoodStillMillis: number) => void
  /** Every five virtual seconds. */
  readonly tick?: () => void
  /** When nothing goes wrong any more and nothing is under way. */
  readonly end?: () => void
}

export interface Invariant {
  /** Its number in section 10 of the specification, or a name of its own. */
  readonly name: string
  /** What it says, in a sentence. */
  readonly says: string
  readonly make: (observed: Observed) => Checker
}

/** An invariant did not hold. */
export class Violation extends Error {
  readonly invariant: string
  readonly says: string
  readonly expected: string
  readonly found: string
  /** Virtual milliseconds since the run began. */
  readonly at: number

  constructor({ name, says }: Pick<Invariant, "name" | "says">, expected: string, found: string, at: number) {
    super(`Invariant ${name} does not hold: expected ${expected}; found ${found}`)
    this.invariant = name
    this.says = says
    this.expected = expected
    this.found = found
    this.at = at
  }
}
