/** From a log to a transcript. */
import { Result, Schema, Stream } from "effect"
import * as Directive from "../actors/Directive.ts"
import type { EventLog, EventLogError } from "../events/EventLog.ts"
import type { LoggedEvent } from "../events/Unreadable.ts"
import { history } from "../replay/History.ts"
import type { Heads } from "./Heads.ts"
import { upToFailure } from "./internal/upToFailure.ts"
import { redact } from "./Redaction.ts"
import { bytesOf, type Contents, type Entry, formatVersion, type Opening, Tally } from "./Transcript.ts"

/** The log itself is not what it was when it was written, so there is nothing that a transcript could prove. */
export class BrokenLog extends Schema.TaggedError<BrokenLog>()("BrokenLog", {
  position: Schema.Natural,
  stream: Schema.String,
  version: Schema.Natural,
  expected: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    const { expected, found, position, stream, version } = this
    return `position ${position} (${stream}@${version}): expected ${expected}, found ${found}`
  }
}

/** The events that belong to it, oldest first, as far as the log goes now. */
export const eventsOf = (
  log: EventLog["Service"],
  contents: Contents
): Stream.Stream<LoggedEvent, EventLogError> => {
  switch (contents._tag) {
    case "All":
      return log.readAll()
    case "Directive":
      return history(log, Directive.streamOf(contents.directiveId))
    case "Owner":
      return Stream.suspend(() => Stream.filter(log.readAll(), isOfOwner(contents.ownerId)))
  }
}

/** Who made a directive is in its first event, so what is asked in the order of the log knows it. */
const isOfOwner = (ownerId: string) => {
  const streams = new Set([`daemons-${ownerId}`])
  return ({ event, stream }: LoggedEvent): boolean => {
    const isFirst = event._tag === "DirectiveCreated" || event._tag === "DirectiveRemoved"
    if (isFirst && event.ownerId === ownerId) streams.add(stream)
    return streams.has(stream)
  }
}

/** An event of the log as the next one of its stream: what a transcript has of it, apart from its line. */
export const follow = (heads: Heads, logged: LoggedEvent): Result.Result<Omit<Entry, "line">, BrokenLog> =>
  Result.flatMap(recorded(logged), (event) =>
    Result.mapBoth(heads.follow(event), {
      onFailure: (misfit) => new BrokenLog({ ...placeOf(logged), ...misfit }),
      onSuccess: () => event
    }))

/** What its hash covers, and the hash that is stored. Fails if what is stored cannot be hashed. */
const recorded = (logged: LoggedEvent): Result.Result<Omit<Entry, "line">, BrokenLog> =>
  Result.map(storedOf(logged), (event) => {
    const { at, causationId, commandId, correlationId, hash, schemaVersion, stream, version } = logged
    return {
      stream,
      version,
      schemaVersion,
      at,
      ...(commandId === undefined ? {} : { commandId }),
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(causationId === undefined ? {} : { causationId }),
      event,
      hash
    }
  })

const storedOf = (
  { event, position, stored, stream, version }: LoggedEvent
): Result.Result<Entry["event"], BrokenLog> => {
  if (event._tag !== "Unreadable") return Result.succeed((stored ?? event) as Entry["event"])
  return Result.try({
    try: () => ({ ...JSON.parse(event.data), _tag: event.type }),
    catch: () => new BrokenLog({ position, stream, version, expected: "an event in JSON", found: event.reason })
  })
}

/** The bytes of a transcript, a line each. */
export const transcript = (
  log: EventLog["Service"],
  contents: Contents,
  texts: Opening["texts"]
): Stream.Stream<Uint8Array, EventLogError | BrokenLog> =>
  Stream.suspend(() => {
    const tally = new Tally()
    const write = (content: Parameters<typeof bytesOf>[0]): Uint8Array => {
      const bytes = bytesOf(content)
      tally.add(bytes)
      return bytes
    }
    const entry = (logged: LoggedEvent): Result.Result<Uint8Array, BrokenLog> =>
      Result.map(follow(tally.heads, logged), (event) => {
        const shown = texts === "plain" ? event.event : redact(event.event, event.schemaVersion)
        return write({ line: tally.lines + 1, ...event, event: shown })
      })
    return Stream.succeed(write({ format: "makima transcript", formatVersion, contents, texts })).pipe(
      Stream.concat(upToFailure(Stream.map(eventsOf(log, contents), entry))),
      Stream.concat(Stream.suspend(() => Stream.succeed(write(tally.closing))))
    )
  })

const placeOf = ({ position, stream, version }: LoggedEvent) => ({ position, stream, version })
