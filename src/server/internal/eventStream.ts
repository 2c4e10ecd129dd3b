/** A directive's events as an answer that may go on for as long as somebody listens. */
import { Effect, Option, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Directive from "../../actors/Directive.ts"
import { DirectiveNotFound } from "../../actors/DirectiveCommand.ts"
import { EventLog } from "../../events/EventLog.ts"
import type { DirectiveId } from "../../events/Ids.ts"
import type { LoggedEvent } from "../../events/Unreadable.ts"
import { history } from "../../replay/History.ts"
import * as LogLine from "../../replay/LogLine.ts"
import { CurrentOwner } from "../Api.ts"
import { refuse } from "./rejections.ts"
import { untilStop } from "./stopping.ts"

/** Proxies drop connections on which nothing is said for long. */
const keepAliveMillis = 15_000

interface Wanted {
  readonly directiveId: DirectiveId
  /** The position of the first event that is wanted. */
  readonly from: number
  readonly follow: boolean
  readonly format: "lines" | "server-sent events"
}

export const eventStream = Effect.fnUntraced(
  function*({ directiveId, follow, format, from }: Wanted) {
    const log = yield* EventLog
    const stream = Directive.streamOf(directiveId)
    // The log knows whose it is even before the read models do.
    const first = yield* Stream.runHead(history(log, stream))
    const ownerId = yield* CurrentOwner
    const isOwn = Option.isSome(first) && "ownerId" in first.value.event && first.value.event.ownerId === ownerId
    if (!isOwn) return yield* new DirectiveNotFound({ directiveId })
    const past = history(log, stream)
    const head = yield* log.head
    // A server that stops ends only what is yet to come: without all of the past, an answer is not whole.
    const coming = untilStop(log.subscribe({ after: head }))
    const events = follow
      ? Stream.concat(past, Stream.filter(coming, (recorded) => recorded.stream === stream))
      : past
    const wanted = events.pipe(
      // What was committed after the head was read and before the past was comes twice.
      Stream.mapAccum(
        () => from - 1,
        (shown, recorded) => recorded.position <= shown ? [shown, []] : [recorded.position, [recorded]]
      ),
      Stream.tapError((error) => Effect.logError(error.message))
    )
    const texts = format === "lines" ? Stream.map(wanted, line) : serverSent(wanted, follow)
    const answer = Stream.encodeText(texts)
    return format === "lines"
      ? HttpServerResponse.stream(answer, { contentType: "application/x-ndjson" })
      : HttpServerResponse.stream(answer, {
        contentType: "text/event-stream",
        headers: { "cache-control": "no-cache" }
      })
  },
  Effect.catch(refuse)
)

const line = (recorded: LoggedEvent): string => `${JSON.stringify(LogLine.json(recorded))}\n`

const serverSent = <E>(events: Stream.Stream<LoggedEvent, E>, follow: boolean): Stream.Stream<string, E> => {
  const sent = Stream.map(events, (recorded) => `id: ${recorded.position}\ndata: ${line(recorded)}\n`)
  if (!follow) return sent
  // The first one goes out at once and carries the head of the answer with it.
  const comments = Stream.map(Stream.tick(keepAliveMillis), () => ":\n\n")
  return Stream.merge(sent, comments, { haltStrategy: "left" })
}
