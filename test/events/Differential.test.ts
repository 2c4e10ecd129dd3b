/**
 * Goal: whoever uses an event log cannot tell which one it is.
 *
 * Method: random commands run on the log in memory and on the one in PostgreSQL side by side, both empty at first. Their
 * answers are the same to the last hash: positions, versions, errors. The streams are three, so that commands collide.
 *
 * Not here: what subscribers see and what several writers may expect (`EventLogContract.ts`), and what is in one log alone,
 * such as the limits of PostgreSQL.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, layer as provided } from "@effect/vitest"
import { Arbitrary, Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { type Cause, EventLog, type StoredEvent, type StreamAppend } from "../../src/events/EventLog.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import { layerDatabase } from "../support/postgres.ts"

const oneOf = <const A extends ReadonlyArray<string | number>>(...literals: A) => Schema.Literals(literals)
const optional = Schema.optionalKey
/** Some, and now and then none. */
const few = <S extends Schema.Constraint>(item: S, max: number) => {
  const some = Schema.Array(item).check(Schema.isMinLength(1), Schema.isMaxLength(max))
  return Schema.Union([Schema.Tuple([]), some, some, some, some, some])
}

const StreamName = oneOf("apple", "Birne", "çerise")
const Key = oneOf("k1", "k2", "")
const Place = oneOf(-1, 0, 1, 2, 3, 4, 5, 8, 13, 21, 40, 3_000_000_000)

const Event = Schema.Union([
  Schema.TaggedStruct("Fact", { value: Schema.String }),
  Schema.TaggedStruct("Answer", { commandId: Key, answer: Schema.Json })
])

const CauseOf = Schema.Struct({ commandId: optional(Key), correlationId: optional(Key), causationId: optional(Key) })

const Part = Schema.Struct({
  stream: StreamName,
  /** `now` and `lately` are the version that the stream is at, and the one before it. */
  expected: oneOf("now", "now", "now", "lately", "none", "exists", "any", "any", 0, 1, 4, 3_000_000_000),
  /** Likewise. */
  epoch: optional(oneOf("now", "now", "lately", 0, 1)),
  /** Without any, the part is a condition of the others. */
  events: few(Event, 4),
  /** Causes of their own for the events. */
  causes: optional(Schema.Tuple([CauseOf, CauseOf, CauseOf, CauseOf]))
})
const Parts = few(Part, 3)

const Read = Schema.Struct({
  after: optional(Place),
  before: optional(Place),
  limit: optional(oneOf(0, 1, 2, 5, 100)),
  direction: optional(oneOf("forward", "backward"))
})

const Command = Schema.Union([
  Schema.TaggedStruct("Append", { parts: Parts, about: CauseOf }),
  Schema.TaggedStruct("Append", { parts: Parts, about: CauseOf }),
  // Each part is an append of its own, and they wait for a commit together.
  Schema.TaggedStruct("AppendTogether", { parts: Parts, about: CauseOf }),
  Schema.TaggedStruct("Claim", {
    streams: few(StreamName, 3),
    owner: oneOf("ada", "grace"),
    fence: optional(Schema.Struct({ stream: StreamName, epoch: oneOf("now", "now", "lately", 0, 1) }))
  }),
  Schema.TaggedStruct("Read", { stream: StreamName, options: Read }),
  Schema.TaggedStruct("ReadAll", { options: Read }),
  Schema.TaggedStruct("FindAnswer", { stream: StreamName, commandId: Key }),
  Schema.TaggedStruct("Truncate", { stream: StreamName, before: Place })
])
type Command = typeof Command.Type

const Commands = Arbitrary.flatMap(
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))),
  (length) => Arbitrary.array(Arbitrary.schema(Command), { minLength: length, maxLength: length })
)

const eventOf = (event: typeof Event.Type): StoredEvent =>
  event._tag === "Fact"
    ? DirectiveEvent.cases.MemorySet.make({ key: "fact", value: event.value })
    // What JSON has no text for, which is -0, comes back as it is from memory alone.
    : DirectiveEvent.cases.CommandAnswered.make({
      commandId: event.commandId,
      answer: JSON.parse(JSON.stringify(event.answer))
    })

type Log = EventLog["Service"]

const given = <A extends string | number>(what: A, at: number) =>
  what === "now" ? at : what === "lately" ? at - 1 : what as Exclude<A, "now" | "lately">

/** An append as it is made to a log whose streams are where these are. */
const partOf = Effect.fnUntraced(function*(log: Log, { causes, epoch, events, expected, stream }: typeof Part.Type) {
  const now = yield* log.streamHead(stream)
  return {
    stream,
    expected: given(expected, now.version),
    events: events.map(eventOf),
    ...(epoch === undefined ? {} : { epoch: given(epoch, now.epoch) }),
    ...(causes === undefined ? {} : { causes: causes.slice(0, events.length) })
  } satisfies StreamAppend
})

/** Does it, and gives everything that the log has to say about it. */
const run = Effect.fnUntraced(function*(log: Log, command: Command, at: number) {
  switch (command._tag) {
    case "Append":
    case "AppendTogether": {
      const about: Cause & { readonly at: number } = { ...command.about, at }
      const once = [...new Map(command.parts.map((part) => [part.stream, part])).values()]
      const parts = yield* Effect.forEach(once, (part) => partOf(log, part))
      if (command._tag === "Append") return yield* answerOf(log.append(parts, about))
      return yield* Effect.forEach(parts, (part) => answerOf(log.append([part], about)), { concurrency: "unbounded" })
    }
    case "Claim": {
      const { fence, owner, streams } = command
      if (fence === undefined) return yield* answerOf(log.claim(streams, owner))
      const { epoch } = yield* log.streamHead(fence.stream)
      return yield* answerOf(
        log.claim(streams, owner, { stream: fence.stream, epoch: given(fence.epoch, epoch) })
      )
    }
    case "Read":
      return yield* answerOf(Stream.runCollect(log.read(command.stream, command.options)))
    case "ReadAll":
      return yield* answerOf(Stream.runCollect(log.readAll(command.options)))
    case "FindAnswer":
      return yield* answerOf(Effect.map(log.findAnswer(command.stream, command.commandId), Option.getOrUndefined))
    case "Truncate":
      return yield* answerOf(log.truncate(command.stream, command.before))
  }
})

/** What came of it. The fields of an error are compared too, and its message. */
const answerOf = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.match(effect, {
    onSuccess: (value): unknown => value,
    onFailure: (error): unknown => ({ ...error, message: error.message })
  })

const whole = Effect.fnUntraced(function*(log: Log) {
  const events = yield* Stream.runCollect(log.readAll())
  const heads = yield* Effect.forEach(StreamName.literals, (stream) => log.streamHead(stream))
  return { events, heads, head: yield* log.head }
})

const layerPostgres = PostgresEventLog.layer.pipe(Layer.provideMerge(layerDatabase))

provided(layerPostgres, { excludeTestServices: true })("The logs in memory and in PostgreSQL", (it) => {
  it.effect.prop(
    "give the same answers to the same commands",
    [Commands],
    ([commands]) =>
      Effect.gen(function*() {
        const sql = yield* PgClient
        yield* sql`DELETE FROM events`
        yield* sql`DELETE FROM stream_owners`
        const durable = yield* EventLog
        const memory = Context.get(yield* Layer.build(Layer.fresh(EventLog.layerMemory)), EventLog)
        for (const [i, command] of commands.entries()) {
          const expected = yield* run(memory, command, i)
          assert.deepStrictEqual(yield* run(durable, command, i), expected)
          assert.strictEqual(yield* durable.head, yield* memory.head)
        }
        assert.deepStrictEqual(yield* whole(durable), yield* whole(memory))
      }).pipe(Effect.scoped)
  )
})
