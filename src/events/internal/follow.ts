/** How every event log follows its own head: read pages until there is none, wait for a commit, read on. */
import { Effect, PubSub, Stream } from "effect"

/**
 * The events over `after` in order, without end. `page` gives the next ones after a position, and none when there are
 * none yet; whoever commits publishes to `heads`.
 */
export const follow = <A extends { readonly position: number }, E>(
  page: (after: number) => Effect.Effect<ReadonlyArray<A>, E>,
  heads: PubSub.PubSub<number>,
  after: Effect.Effect<number, E>
): Stream.Stream<A, E> =>
  Stream.unwrap(Effect.gen(function*() {
    // Subscribing before the first look is what makes a commit in between impossible to miss.
    const commits = yield* PubSub.subscribe(heads)
    let cursor = yield* after
    const next = Effect.gen(function*() {
      while (true) {
        const events = yield* page(cursor)
        const last = events.at(-1)
        if (last !== undefined) {
          cursor = last.position
          return events
        }
        yield* PubSub.takeAll(commits)
      }
    })
    return Stream.fromEffectRepeat(next).pipe(Stream.flattenIterable)
  }))
