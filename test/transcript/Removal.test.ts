/** An archived directive leaves the log for a transcript, and everything that looks at the log goes on without it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { DirectiveGone } from "../../src/actors/DirectiveCommand.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { DirectiveId, OwnerId } from "../../src/events/Ids.ts"
import * as PostgresEventLog from "../../src/events/PostgresEventLog.ts"
import * as PostgresSnapshots from "../../src/events/PostgresSnapshots.ts"
import { digestOf as digestOfState, Snapshots } from "../../src/events/Snapshots.ts"
import { layerActors } from "../../src/Makima.ts"
import { Projections } from "../../src/projections/Projections.ts"
import { finishRemoval, removable, remove } from "../../src/transcript/Removal.ts"
import { verifyLog, verifyTranscript } from "../../src/transcript/Verify.ts"
import { fixed } from "../projections/histories.ts"
import { snapshot } from "../projections/tables.ts"
import { created, daemonA, directiveId as others, now, ownerId, taskIdAt } from "../support/directive.ts"
import { layerDatabase } from "../support/postgres.ts"
import { archive, checked, exported, linesOf, lives, settled, write } from "./transcripts.ts"

const [stream, other] = [lives[1]!.append.stream, lives[2]!.append.stream]
const directiveId = DirectiveId.make(stream.slice("directive-".length))
const mine = { _tag: "Directive", directiveId } as const

const layer = Layer.fresh(
  Layer.mergeAll(PostgresEventLog.layer, PostgresSnapshots.layer, Logger.layer([])).pipe(
    Layer.provideMerge(layerDatabase)
  )
)

const removed = Effect.gen(function*() {
  const log = yield* EventLog
  yield* settled(stream)
  const bytes = yield* exported(mine)
  const verified = yield* verifyTranscript(Stream.succeed(bytes))
  return { bytes, verified, gone: yield* remove(log, directiveId, verified) }
})

const projected = Effect.gen(function*() {
  const log = yield* EventLog
  const projections = Context.get(yield* Layer.build(Layer.fresh(Projections.layer)), Projections)
  return { projections, caughtUp: Effect.flatMap(log.head, (head) => projections.awaitPosition(head)) }
})

describe("A directive that is removed", () => {
  it.live("leaves its end in the log, with its last hash and the digest of the export", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const log = yield* EventLog
      const { bytes, gone, verified } = yield* removed
      const [last] = verified.heads
      assert.strictEqual(gone, last!.version)
      const [tombstone, ...more] = yield* Stream.runCollect(log.read(stream))
      assert.lengthOf(more, 0)
      assert.deepStrictEqual(tombstone?.version, last!.version + 1)
      assert.strictEqual(tombstone?.position, yield* log.head)
      const { hash, version } = last!
      const fact = { directiveId, ownerId: "ada", version, hash, exported: verified.digest }
      assert.deepStrictEqual<object>(tombstone!.event, { _tag: "DirectiveRemoved", ...fact })

      const { events, heads, removed: found } = yield* verifyLog(log)
      assert.strictEqual(events, (yield* Stream.runCollect(log.readAll())).length)
      assert.deepStrictEqual(found, [{ stream, at: tombstone!.at, version, hash, exported: verified.digest }])
      assert.isTrue(heads.some((head) => head.stream === stream && head.version === version + 1))
      // What was exported is still whole, and so is an export of what is left, with texts or without.
      yield* checked(bytes)
      for (const texts of ["plain", "redacted"] as const) {
        const left = yield* verifyTranscript(Stream.succeed(yield* exported({ _tag: "All" }, texts)))
        assert.deepStrictEqual([left.removed, left.heads], [found, heads])
      }
      assert.lengthOf(linesOf(yield* exported(mine)), 3)
    }).pipe(Effect.provide(layer)))

  it.live("keeps its id and its place: nothing is written where it was", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const log = yield* EventLog
      const { gone } = yield* removed
      const again = fixed("first", "ada", 1)[0]!.append
      const conflict = yield* Effect.flip(log.append([again], { at: now }))
      assert.strictEqual(conflict._tag, "VersionConflict")
      const head = yield* log.head
      yield* write([{
        at: now,
        append: { stream: "supervisor-b", expected: 0, events: [{ _tag: "ActorStarted", address: "x" }] }
      }])
      assert.strictEqual(yield* log.head, head + 1)
      assert.isAbove(gone, 0)
      const positions = (yield* Stream.runCollect(log.readAll())).map(({ position }) => position)
      assert.deepStrictEqual(positions, [...new Set(positions)].sort((a, b) => a - b))
    }).pipe(Effect.provide(layer)))

  it.live("has no rows any more, live or rebuilt, and stops nobody who follows the log", () =>
    Effect.scoped(Effect.gen(function*() {
      const { caughtUp, projections } = yield* projected
      yield* write(lives.slice(0, lives.length / 2))
      yield* caughtUp
      assert.include(JSON.stringify(yield* snapshot), directiveId)
      yield* write(lives.slice(lives.length / 2))
      yield* removed
      yield* settled(other)
      yield* caughtUp
      const rows = yield* snapshot
      assert.notInclude(JSON.stringify(rows), directiveId)
      assert.include(JSON.stringify(rows), other.slice("directive-".length))
      const { differences } = yield* projections.check()
      assert.deepStrictEqual(differences, [])
      yield* projections.rebuild()
      assert.deepStrictEqual(yield* snapshot, rows)
    })).pipe(Effect.provide(layer)))

  it.live("has no snapshot any more", () =>
    Effect.gen(function*() {
      yield* write(lives)
      const snapshots = yield* Snapshots
      yield* snapshots.save({
        stream,
        version: 1,
        position: 1,
        schema: "",
        state: "",
        digest: digestOfState(""),
        at: 0
      })
      yield* removed
      assert.isTrue(Option.isNone(yield* snapshots.load(stream)))
    }).pipe(Effect.provide(layer)))

  it.live("is gone in the end, wherever it was stopped on the way", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* write(lives)
      const log = yield* EventLog
      yield* settled(stream)
      const verified = yield* verifyTranscript(Stream.succeed(yield* exported(mine)))
      const stopped = EventLog.of({ ...log, truncate: () => Effect.die("the power went") })
      yield* Effect.exit(remove(stopped, directiveId, verified))
      // The fact is there, and the events are.
      assert.strictEqual((yield* removable(log, directiveId)).state.removed, verified.digest)
      yield* verifyLog(log)
      const { caughtUp } = yield* projected
      yield* caughtUp
      assert.notInclude(JSON.stringify(yield* snapshot), directiveId)
      assert.strictEqual(yield* remove(log, directiveId, verified), verified.heads[0]!.version)
      assert.strictEqual(yield* finishRemoval(log, directiveId), 0)
      assert.lengthOf((yield* verifyLog(log)).removed, 1)
    })).pipe(Effect.provide(layer)))
})

describe("The actor of a directive that is removed under it", () => {
  it.live("says that it is gone to its owner, and nothing to others", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const directives = yield* Directives
      const create = { _tag: "CreateDirective", ownerId, title: "Title", goal: "Goal" } as const
      yield* directives.ask(others, create)
      yield* directives.ask(others, { _tag: "ArchiveDirective" })
      const verified = yield* verifyTranscript(
        Stream.succeed(yield* exported({ _tag: "Directive", directiveId: others }))
      )
      yield* remove(log, others, verified)
      // The actor still has what it was, in which it takes no commands either.
      const still = yield* Effect.flip(directives.ask(others, { _tag: "StartDirective" }, { ownerId }))
      assert.strictEqual(still._tag, "DirectiveInState")
      yield* Effect.flatMap(Supervisor, (supervisor) => supervisor.stop(Directive.streamOf(others)))
      for (const command of [create, { _tag: "ResumeDirective" } as const]) {
        const error = yield* Effect.flip(directives.ask(others, command, { ownerId }))
        assert.deepStrictEqual(error, new DirectiveGone({ directiveId: others, exported: verified.digest }))
      }
      const foreign = { ownerId: OwnerId.make("bob") }
      const error = yield* Effect.flip(directives.ask(others, { _tag: "ResumeDirective" }, foreign))
      assert.strictEqual(error._tag, "DirectiveNotFound")
    }).pipe(
      Effect.provide(
        layerActors.pipe(
          Layer.provideMerge(EventLog.layerMemory),
          Layer.provideMerge(SecureRandom.layerWebCrypto),
          Layer.provideMerge(Logger.layer([])),
          Layer.fresh
        )
      )
    ))
})

describe("A directive is not removed", () => {
  const refusal = Effect.fnUntraced(function*(contents: Parameters<typeof exported>[0], texts?: "redacted") {
    const verified = yield* verifyTranscript(Stream.succeed(yield* exported(contents, texts)))
    const error = yield* Effect.flip(remove(yield* EventLog, directiveId, verified))
    assert.strictEqual(error._tag, "NotRemovable")
    return error.message
  })

  it.effect("while a task of it is being interrupted", () =>
    Effect.gen(function*() {
      const taskId = taskIdAt(2)
      const made = {
        taskId,
        kind: "planning",
        name: "Plan",
        description: "",
        plan: "",
        revision: 1,
        generation: 1
      } as const
      const events: ReadonlyArray<DirectiveEvent> = [
        created,
        { _tag: "TaskCreated", ...made },
        { _tag: "TaskHandedOver", taskId, handOver: 1, daemonId: daemonA }
      ]
      yield* write([{ at: now, append: { stream: Directive.streamOf(others), expected: 0, events } }])
      yield* archive(Directive.streamOf(others))
      const error = yield* Effect.flip(removable(yield* EventLog, others))
      assert.match(error.message, /cannot be removed: tasks of it are still being interrupted \(1\)/)
    }).pipe(Effect.provide(Layer.fresh(EventLog.layerMemory))))

  it.effect("unless it is archived and exported as a whole", () =>
    Effect.gen(function*() {
      assert.include(yield* refusal({ _tag: "All" }), "cannot be removed: there is none in this log")
      yield* write(lives)
      assert.match(yield* refusal(mine), /it is (?!archived)\w+, and only what is archived can go/)
      const { _tag } = mine
      const before = yield* verifyTranscript(Stream.succeed(yield* exported(mine)))
      yield* settled(stream)
      assert.match(yield* refusal(mine, "redacted"), /the export does not have all of its history/)
      const another = DirectiveId.make(other.slice("directive-".length))
      assert.match(yield* refusal({ _tag, directiveId: another }), /the export does not have all of its history/)
      const error = yield* Effect.flip(remove(yield* EventLog, directiveId, before))
      assert.match(error.message, /the export does not have all of its history/)
    }).pipe(Effect.provide(Layer.fresh(EventLog.layerMemory))))
})
