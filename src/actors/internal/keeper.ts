/** Takes snapshots of an actor while it goes on: one at a time, the newest first, and nobody waits for them. */
import { Clock, Context, Effect, type Scope } from "effect"
import { digestOf, Snapshots } from "../../events/Snapshots.ts"
import type { StateCodec } from "./codec.ts"
import type { Folded } from "./recovery.ts"

/** How many events come between two snapshots of an actor. */
export const SnapshotEvents = Context.Reference<number>("makima-runtime/actors/SnapshotEvents", {
  defaultValue: () => 1_000
})

export interface Keeper<State> {
  /** Takes a snapshot when enough has happened since the last one. */
  readonly consider: (current: Folded<State>) => Effect.Effect<void>
  /** Takes a snapshot now. */
  readonly take: (current: Folded<State>) => Effect.Effect<void>
  /** Whether all has been done that can be to have a snapshot of this version. */
  readonly isDone: (version: number) => boolean
}

/** `taken` is the version of the snapshot that is there. `onDone` hears when nothing is on its way any more. */
export const make = Effect.fnUntraced(function*<State>(
  stream: string,
  codec: StateCodec<State> | undefined,
  taken: number,
  onDone: () => void
): Effect.fn.Return<Keeper<State>, never, Scope.Scope> {
  if (codec === undefined) return { consider: () => Effect.void, take: () => Effect.void, isDone: () => true }
  const snapshots = yield* Snapshots
  const events = yield* SnapshotEvents
  const scope = yield* Effect.scope
  let newest = taken
  let next: Folded<State> | undefined
  let isBusy = false

  const save = Effect.fnUntraced(function*({ position, state, version }: Folded<State>) {
    let text = ""
    for (const piece of codec.encode(state)) {
      text += piece
      // The state stays as it is, so whoever has something to do may do it in between.
      yield* Effect.yieldNow
    }
    const at = yield* Clock.currentTimeMillis
    yield* snapshots.save({ stream, version, position, schema: codec.schema, state: text, digest: digestOf(text), at })
  })

  const saveAll = Effect.gen(function*() {
    while (next !== undefined) {
      const current = next
      next = undefined
      yield* save(current).pipe(
        Effect.catchDefect(Effect.fail),
        Effect.catch((error) => Effect.logWarning(`${stream} has no snapshot of version ${current.version}`, error))
      )
    }
    isBusy = false
    onDone()
  })

  const take = (current: Folded<State>) =>
    Effect.suspend(() => {
      newest = current.version
      next = current
      if (isBusy) return Effect.void
      isBusy = true
      return Effect.asVoid(Effect.forkIn(saveAll, scope))
    })
  return {
    consider: (current) => current.version - newest < events ? Effect.void : take(current),
    take,
    isDone: (version) => newest >= version && !isBusy
  }
})
