/** The event log in memory: the same promises as the durable one, for as long as the process lives. */
import { Effect, PubSub, Stream } from "effect"
import * as Chain from "../Chain.ts"
import type { Cause, EventLog, Fence, ReadOptions, RecordedEvent, StreamAppend } from "../EventLog.ts"
import { type LoggedEvent, untilUnreadable } from "../Unreadable.ts"
import * as Vocabulary from "../Vocabulary.ts"
import { fencedBy, malformation, nameMalformation, refusalOf } from "./check.ts"
import { refused } from "./failure.ts"
import { follow } from "./follow.ts"

const pageEvents = 1000

export const makeMemory = Effect.fnUntraced(
  function*(past: ReadonlyArray<LoggedEvent>): Effect.fn.Return<EventLog["Service"]> {
    let all: Array<LoggedEvent> = [...past]
    const streams = Map.groupBy(past, ({ stream }) => stream)
    const owners = new Map<string, { readonly epoch: number; readonly owner: string }>()
    const heads = yield* PubSub.sliding<number>(1)

    const head = () => all.at(-1)?.position ?? 0
    const ofStream = (stream: string) => streams.get(stream) ?? []
    const versionOf = (stream: string) => ofStream(stream).at(-1)?.version ?? 0
    const epochOf = (stream: string) => owners.get(stream)?.epoch ?? 0
    const append = Effect.fnUntraced(
      function*(appends: ReadonlyArray<StreamAppend>, { at, ...cause }: Cause & { readonly at: number }) {
        const malformed = malformation(appends, { at, ...cause })
        if (malformed !== undefined) return yield* refused("append", malformed)
        for (const part of appends) {
          const refusal = refusalOf(part, versionOf(part.stream), epochOf(part.stream))
          if (refusal !== undefined) return yield* refusal
        }
        const recorded: Array<RecordedEvent> = []
        for (const { causes, events, stream } of appends) {
          const past = ofStream(stream)
          if (events.length > 0) streams.set(stream, past)
          for (const [i, event] of events.entries()) {
            const about = { stream, schemaVersion: Vocabulary.versionOf(event), at, event, ...(causes?.[i] ?? cause) }
            const hash = Chain.next(past.at(-1)?.hash ?? Chain.start, Chain.contentOf(about))
            const entry = { ...about, position: head() + 1, version: versionOf(stream) + 1, hash }
            past.push(entry)
            all.push(entry)
            recorded.push(entry)
          }
        }
        if (recorded.length > 0) yield* PubSub.publish(heads, head())
        return recorded
      }
    )

    const claim = Effect.fnUntraced(function*(streams: ReadonlyArray<string>, owner: string, fence?: Fence) {
      const malformed = nameMalformation(fence === undefined ? streams : [...streams, fence.stream], [owner])
      if (malformed !== undefined) return yield* refused("claim", malformed)
      if (streams.length === 0) return []
      const refusal = fence && fencedBy(fence, epochOf(fence.stream))
      if (refusal !== undefined) return yield* refusal
      return streams.map((stream) => {
        const epoch = epochOf(stream) + 1
        owners.set(stream, { epoch, owner })
        return epoch
      })
    })

    return {
      append,
      claim,
      read: (stream, options) =>
        untilUnreadable(Stream.suspend(() => Stream.fromIterable(chosen(ofStream(stream), version, options)))),
      readAll: (options) => Stream.suspend(() => Stream.fromIterable(chosen(all, position, options))),
      subscribe: (options) =>
        follow(
          (after) => Effect.sync(() => chosen(all, position, { after, limit: pageEvents })),
          heads,
          options?.after === "now" ? Effect.sync(head) : Effect.succeed(options?.after ?? 0)
        ),
      findAnswer: (stream, commandId) =>
        Stream.runHead(untilUnreadable(
          Stream.suspend(() => Stream.fromIterable(ofStream(stream).filter(isAnswerTo(commandId))))
        )),
      streamHead: (stream) =>
        Effect.sync(() => {
          const last = ofStream(stream).at(-1)
          return {
            version: last?.version ?? 0,
            hash: last?.hash ?? Chain.start,
            ...(owners.get(stream) ?? { epoch: 0, owner: undefined })
          }
        }),
      truncate: (stream, before) =>
        Effect.sync(() => {
          const kept = chosen(ofStream(stream), version, { after: before - 1 })
          if (kept[0]?.version !== before) return 0
          const gone = ofStream(stream).length - kept.length
          streams.set(stream, kept)
          all = all.filter((logged) => logged.stream !== stream || logged.version >= before)
          return gone
        }),
      head: Effect.sync(head)
    }
  }
)

const isAnswerTo = (commandId: string) => ({ event, ...recorded }: LoggedEvent): boolean =>
  recorded.commandId === commandId &&
  (event._tag === "Unreadable" ? event.type : event._tag) === "CommandAnswered"

const version = (logged: LoggedEvent): number => logged.version
const position = (logged: LoggedEvent): number => logged.position

const chosen = (
  events: ReadonlyArray<LoggedEvent>,
  place: (logged: LoggedEvent) => number,
  { after = 0, before, direction, limit = events.length }: ReadOptions = {}
): Array<LoggedEvent> => {
  const start = firstOver(events, after, place)
  const end = before === undefined ? events.length : firstOver(events, before - 1, place)
  if (limit <= 0) return []
  return direction === "backward"
    ? events.slice(Math.max(start, end - limit), end).toReversed()
    : events.slice(start, Math.min(end, start + limit))
}

/** The index of the first that is over a place. What is before it is not looked at: readers come page by page. */
const firstOver = <A>(sorted: ReadonlyArray<A>, place: number, placeOf: (one: A) => number): number => {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (placeOf(sorted[middle]!) > place) high = middle
    else low = middle + 1
  }
  return low
}
