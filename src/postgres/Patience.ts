/**
 * How long anybody waits for PostgreSQL. A connection that has died without a word never answers, and TCP takes a quarter
 * of an hour to say so.
 */
import { Context, Effect, Fiber } from "effect"

/** For one statement of the log, in milliseconds. */
export const AnswerMillisMax = Context.Reference<number>("makima-runtime/postgres/AnswerMillisMax", {
  defaultValue: () => 10_000
})

/**
 * Waits for so long and no longer, also not until what it waits for is interrupted: the driver takes five seconds to give
 * up a connection that is silent.
 */
export const within = <A, E, R, A2, E2, R2>(
  millis: number,
  effect: Effect.Effect<A, E, R>,
  otherwise: Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDetach(restore(effect), { startImmediately: true }),
      (fiber) =>
        restore(Effect.timeoutOrElse(Fiber.await(fiber), { duration: millis, orElse: () => Effect.succeed(undefined) }))
          .pipe(
            Effect.onInterrupt(() => Effect.forkDetach(Fiber.interrupt(fiber))),
            Effect.flatMap((exit): Effect.Effect<A | A2, E | E2, R2> =>
              exit ?? Effect.andThen(Effect.forkDetach(Fiber.interrupt(fiber)), restore(otherwise))
            )
          )
    )
  )

/** Fails when a statement has no answer in time. What it asks for may be done all the same. */
export const patiently = <A, E, R>(statement: Effect.Effect<A, E, R>): Effect.Effect<A, E | Error, R> =>
  Effect.flatMap(
    AnswerMillisMax,
    (millis) => within(millis, statement, Effect.fail(new Error(`the database has not answered for ${millis} ms`)))
  )
