/**
 * Which process has whom: an owner's actors run in one process at a time, which holds the owner's lease.
 *
 * Leases are decided by a table that all processes share, and enforced by the log: a process has a fence, which is a
 * stream and an epoch, and everything it appends or claims names it (`FencedLog.ts`). Whoever takes over from a process
 * first claims that stream, so that nothing of it comes into the log any more, whatever it believes.
 *
 * This file has the service, with a default for a process that has the log to itself: everything is here, and nothing is
 * fenced. `MemoryLeases.ts` is for tests and simulations, `PostgresLeases.ts` for servers.
 */
import { Context, Effect, Schema, Stream } from "effect"
import type { Fence } from "../events/EventLog.ts"
import type { OwnerId } from "../events/Ids.ts"
import { ActorUnavailable } from "./internal/mailbox.ts"

export interface LeaseTimes {
  /** How often a process renews its lease. Less than half of `killedMillis`. */
  readonly renewMillis: number
  /** After so long without renewing, a process whose connection is gone is taken for dead; it keeps quiet from then on. */
  readonly killedMillis: number
  /** After so long, it is taken for dead even if its connection is there. */
  readonly ttlMillis: number
}

export const defaultTimes: LeaseTimes = { renewMillis: 1_000, killedMillis: 3_000, ttlMillis: 8_000 }

export const LeaseTimes = Context.Reference<LeaseTimes>("makima-runtime/actors/LeaseTimes", {
  defaultValue: () => defaultTimes
})

/** Who holds an owner. `url` is where that process can be reached, if it can. */
export type Location =
  | { readonly _tag: "Here" }
  | { readonly _tag: "Elsewhere"; readonly node: string; readonly url: string | undefined }

/** Nobody can say now who holds an owner: the table cannot be asked, or this process has lost its place in it. */
export class LeaseUnknown extends Schema.TaggedError<LeaseUnknown>()("LeaseUnknown", { because: Schema.String }) {
  override get message(): string {
    return `Which server has it cannot be found out now: ${this.because}`
  }
}

/** Another process that lives has the name. */
export class NodeNameTaken extends Schema.TaggedError<NodeNameTaken>()("NodeNameTaken", { node: Schema.String }) {
  override get message(): string {
    return `a server that is called ${this.node} runs on this database: give this one another name with --node`
  }
}

export interface LeasesService {
  /** Where an owner is. If nobody has it, this process takes it. */
  readonly locate: (ownerId: OwnerId) => Effect.Effect<Location, LeaseUnknown>
  /** The same for many: those that are here then. */
  readonly take: (owners: Iterable<OwnerId>) => Effect.Effect<ReadonlySet<OwnerId>, LeaseUnknown>
  /**
   * Whether the lease is surely valid at this moment, by this process's own clocks. While it is not, others may be about to
   * take over, and nothing may be sent to anybody on behalf of an owner.
   */
  readonly isValid: () => boolean
  /**
   * How long the table has not answered although it was asked all the time, in milliseconds: the longer, the more likely
   * others have taken over. Without end once the lease is lost, or this process stood still and has yet to find out.
   */
  readonly unansweredMillis: () => number
  /** Waits until it is valid. A lease that is lost is never valid again. */
  readonly valid: Effect.Effect<void>
  /** Says where this process can be reached: before that, nobody can pass on what is for it. */
  readonly advertise: (url: string) => Effect.Effect<void, LeaseUnknown>
  /** What all appends and claims have to name; nothing where there is nobody else. */
  readonly fence: Fence | undefined
  /** Owners that were taken over from a process that has ended, to be gone on with. For one reader. */
  readonly takenOver: Stream.Stream<ReadonlyArray<OwnerId>>
  /** Waits until another process has taken over everything from this one, which has to start anew then. Says so. */
  readonly lost: Effect.Effect<string>
}

const everythingHere: LeasesService = {
  locate: () => Effect.succeed({ _tag: "Here" }),
  take: (owners) => Effect.sync(() => new Set(owners)),
  isValid: () => true,
  unansweredMillis: () => 0,
  valid: Effect.void,
  advertise: () => Effect.void,
  fence: undefined,
  takenOver: Stream.never,
  lost: Effect.never
}

export const Leases = Context.Reference<LeasesService>("makima-runtime/actors/Leases", {
  defaultValue: () => everythingHere
})

/** Goes on only for an owner that is here: an actor of anybody else must not be started. */
export const requireHere = Effect.fnUntraced(function*(
  leases: LeasesService,
  ownerId: OwnerId
): Effect.fn.Return<void, ActorUnavailable> {
  const location = yield* leases.locate(ownerId).pipe(
    Effect.tapError((error) => Effect.logWarning(error.message)),
    Effect.mapError(() =>
      new ActorUnavailable({ address: ownerId, because: "which server has it cannot be found out" })
    )
  )
  if (location._tag === "Here") return
  return yield* new ActorUnavailable({ address: ownerId, because: `${location.node} has it` })
})
