/**
 * How answers that go on for as long as somebody listens learn that their server stops: they end then, as what is whole does.
 * What breaks off is not whole, and clients can tell the two apart.
 */
import { Context, Effect, Stream } from "effect"

/** Waits until the server stops. */
export const Stopping = Context.Reference<Effect.Effect<void>>("makima-runtime/server/Stopping", {
  defaultValue: () => Effect.never
})

export const untilStop = <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
  Stream.unwrap(Effect.map(Stopping, (stopping) => Stream.interruptWhen(stream, stopping)))
