/** Results as a stream that ends with the first failure, a page at a time: an effect for each would cost more than they do. */
import { Result, Stream } from "effect"

export const upToFailure = <A, E2, E>(results: Stream.Stream<Result.Result<A, E2>, E>): Stream.Stream<A, E | E2> =>
  Stream.flatMap(Stream.chunks(results), (page): Stream.Stream<A, E2> => {
    const good: Array<A> = []
    for (const result of page) {
      if (Result.isFailure(result)) return Stream.concat(Stream.fromArray(good), Stream.fail(result.failure))
      good.push(result.success)
    }
    return Stream.fromArray(good)
  })
