/** Logs and transcripts for tests, all of them whole. */
import { Effect, HashMap, Layer, Result, Stream } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import { isOpen } from "../../src/actors/DirectiveState.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog, type StreamAppend } from "../../src/events/EventLog.ts"
import { check } from "../../src/transcript/Check.ts"
import { transcript } from "../../src/transcript/Export.ts"
import type { Contents, Opening } from "../../src/transcript/Transcript.ts"
import { daemons, fixed, inTurns } from "../projections/histories.ts"
import { now } from "../support/directive.ts"

const all: Contents = { _tag: "All" }

export interface Written {
  readonly at: number
  readonly append: StreamAppend
}

/** The lives of three directives of two owners, with daemons and a supervisor. */
export const lives: ReadonlyArray<Written> = [
  { at: now, append: daemons("ada") },
  ...inTurns(fixed("first", "ada", 1), fixed("second", "ada", 2), fixed("third", "bob", 3)),
  { at: now, append: { stream: "supervisor-a", expected: 0, events: [{ _tag: "ActorStarted", address: "x" }] } }
]

export const write = (written: ReadonlyArray<Written>) =>
  Effect.flatMap(
    EventLog,
    (log) =>
      Effect.forEach(written, ({ append, at }) =>
        log.append([append], { at, commandId: `command ${at}`, causationId: "Test" }), { discard: true })
  )

/** A log in memory with these events in it. */
export const logOf = (written: ReadonlyArray<Written>) =>
  Layer.effectDiscard(write(written)).pipe(Layer.provideMerge(EventLog.layerMemory), Layer.fresh)

/** A transcript of the log that is there. */
export const exported = (contents: Contents = all, texts: Opening["texts"] = "plain") =>
  Effect.flatMap(
    EventLog,
    (log) =>
      Effect.map(Stream.runCollect(transcript(log, contents, texts)), (lines) => new Uint8Array(Buffer.concat(lines)))
  )

/** What checking the bytes gives, when they come in pieces of this size. */
export const checked = (bytes: Uint8Array, size = 1000) =>
  Stream.runCollect(check(Stream.fromIterable(pieces(bytes, size))))

function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
}

export const linesOf = (bytes: Uint8Array): ReadonlyArray<string> => Buffer.from(bytes).toString().split(/(?<=\n)/)

export const joined = (lines: ReadonlyArray<string>): Uint8Array => new TextEncoder().encode(lines.join(""))

/** A directive of the log, as it is now. */
export const stateOf = (stream: string) =>
  Effect.flatMap(
    EventLog,
    (log) =>
      Stream.runFold(log.read(stream), () =>
        Directive.empty(stream), (state, { event }) =>
        Directive.evolve(state, event as DirectiveEvent))
  )

export const archive = Effect.fnUntraced(function*(stream: string) {
  const state = yield* stateOf(stream)
  const context = { now, policy: Directive.defaultPolicy }
  const { events } = Result.getOrThrow(Directive.decide(state, { _tag: "ArchiveDirective" }, context))
  const log = yield* EventLog
  yield* log.append([{ stream, expected: state.version, events }], { at: now })
})

/** Archives it, and ends what is being interrupted, as the daemons would report. */
export const settled = Effect.fnUntraced(function*(stream: string) {
  yield* archive(stream)
  const log = yield* EventLog
  const { tasks, version } = yield* stateOf(stream)
  const events = HashMap.toValues(tasks).filter(isOpen)
    .map(({ id }): DirectiveEvent => ({ _tag: "TaskInterrupted", taskId: id, reason: "archived" }))
  yield* log.append([{ stream, expected: version, events }], { at: now })
})
