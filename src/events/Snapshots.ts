/**
 * What streams fold to, kept so that a long one need not be folded from its first event. A cache: every snapshot may be
 * thrown away at any time, and one that is not what its stream says is not used.
 *
 * This file has the service and the memory implementation; `PostgresSnapshots.ts` is the one that outlives the process.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { hash } from "node:crypto"

/** The state of a stream after its event at `version`. */
export interface Snapshot {
  readonly stream: string
  readonly version: number
  /** The position of that event, which tells it from one of another history. */
  readonly position: number
  /** Names the code that folds this state from those events. */
  readonly schema: string
  readonly state: string
  /** The SHA-256 of the state, in hex. */
  readonly digest: string
  /** When it was taken, in milliseconds since 1970. */
  readonly at: number
}

export const digestOf = (state: string): string => hash("sha256", state)

/** What is stored is what was written. */
export const isWhole = ({ digest, state }: Snapshot): boolean => digest === digestOf(state)

/** The snapshots cannot be reached. Nothing is lost by that. */
export class SnapshotsError extends Schema.TaggedError<SnapshotsError>()("SnapshotsError", {
  method: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The snapshots failed to ${this.method}: ${this.cause instanceof Error ? this.cause.message : this.cause}`
  }
}

export interface Snapshots {
  /** Puts it in the place of the snapshot that its stream had. */
  readonly save: (snapshot: Snapshot) => Effect.Effect<void, SnapshotsError>
  readonly load: (stream: string) => Effect.Effect<Option.Option<Snapshot>, SnapshotsError>
  /** Throws away the snapshot of a stream, or all. */
  readonly drop: (stream?: string) => Effect.Effect<void, SnapshotsError>
}

const none: Snapshots = {
  save: () => Effect.void,
  load: () => Effect.succeedNone,
  drop: () => Effect.void
}

/** Without an implementation there are none, and every stream is folded from its first event. */
export const Snapshots = Context.Reference<Snapshots>("makima-runtime/events/Snapshots", { defaultValue: () => none })

/** Keeps them in this process. */
export const layerMemory = Layer.sync(Snapshots, (): Snapshots => {
  const kept = new Map<string, Snapshot>()
  return {
    save: (snapshot) => Effect.sync(() => void kept.set(snapshot.stream, snapshot)),
    load: (stream) => Effect.sync(() => Option.fromUndefinedOr(kept.get(stream))),
    drop: (stream) => Effect.sync(() => stream === undefined ? kept.clear() : void kept.delete(stream))
  }
})
