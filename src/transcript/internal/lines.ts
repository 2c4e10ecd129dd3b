/** Bytes as lines, which end with a line feed and nothing else. */
import { Stream } from "effect"

/** No line is longer: whatever comes in a line beyond that is passed on in pieces. */
const lineBytesMax = 256 * 1024 * 1024
const lineFeed = 10

/** The lines with their ends, and what comes after the last end. */
export const lines = <E>(bytes: Stream.Stream<Uint8Array, E>): Stream.Stream<Uint8Array, E> =>
  Stream.suspend(() => {
    let pieces: Array<Uint8Array> = []
    let size = 0
    const take = (): Uint8Array => {
      const [first, ...more] = pieces
      const line = first !== undefined && more.length === 0 ? first : Buffer.concat(pieces)
      pieces = []
      size = 0
      return line
    }
    const put = (piece: Uint8Array): void => {
      if (piece.length === 0) return
      pieces.push(piece)
      size += piece.length
    }
    const split = (chunk: Uint8Array): ReadonlyArray<Uint8Array> => {
      const found: Array<Uint8Array> = []
      let from = 0
      for (let to = chunk.indexOf(lineFeed); to >= 0; to = chunk.indexOf(lineFeed, from)) {
        put(chunk.subarray(from, to + 1))
        found.push(take())
        from = to + 1
      }
      put(chunk.subarray(from))
      if (size > lineBytesMax) found.push(take())
      return found
    }
    const rest = Stream.suspend(() => size === 0 ? Stream.empty : Stream.succeed(take()))
    return Stream.concat(Stream.flatMap(bytes, (chunk) => Stream.fromArray(split(chunk))), rest)
  })
