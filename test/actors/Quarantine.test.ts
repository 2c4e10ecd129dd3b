/** An actor whose stream cannot be read comes to rest where people see it, and the others go on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import * as Chain from "../../src/events/Chain.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { DirectiveId } from "../../src/events/Ids.ts"
import type { LoggedEvent } from "../../src/events/Unreadable.ts"
import { created, directiveId, now, ownerId, stream } from "../support/directive.ts"

const past: ReadonlyArray<LoggedEvent> = [
  { position: 1, stream, version: 1, schemaVersion: 1, at: now, hash: Chain.start, event: created },
  {
    position: 2,
    stream,
    version: 2,
    schemaVersion: 4,
    at: now,
    hash: Chain.start,
    event: { _tag: "Unreadable", type: "DirectiveStarted", data: "{}", reason: "a newer version wrote it" }
  }
]

const runtime = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, Daemons.layer)),
  Layer.provideMerge(EventLog.layerMemoryWith(past))
)

describe("An actor whose stream cannot be read", () => {
  it.effect("is parked, visibly and with the reason, while others go on", () =>
    Effect.gen(function*() {
      const directives = yield* Directives
      const log = yield* EventLog
      const asking = yield* Effect.forkChild(Effect.flip(directives.ask(directiveId, { _tag: "StartDirective" })))
      const failures = yield* Effect.forkChild(
        log.subscribe().pipe(
          Stream.map(({ event }) => event),
          Stream.filter((event) => event._tag === "ActorFailed" || event._tag === "ActorParked"),
          Stream.takeUntil((event) => event._tag === "ActorParked"),
          Stream.runCollect
        )
      )
      yield* TestClock.adjust("1 minute")
      const seen = yield* Fiber.join(failures)
      assert.deepStrictEqual(seen.map(({ _tag }) => _tag), [...Array(6).fill("ActorFailed"), "ActorParked"])
      const [first] = seen
      assert.isTrue(first?._tag === "ActorFailed" && first.address === stream)
      assert.include(
        first?._tag === "ActorFailed" ? first.cause : "",
        `The DirectiveStarted (version 4) at position 2, ${stream}@2, cannot be read: a newer version wrote it`
      )
      assert.strictEqual((yield* Fiber.join(asking))._tag, "ActorUnavailable")

      const other = DirectiveId.make("7b3c1f02-2222-4a6e-9c2d-0123456789ab")
      yield* directives.ask(other, { _tag: "CreateDirective", ownerId, title: "Other", goal: "One step" })
      assert.strictEqual((yield* Stream.runCollect(log.read(Directive.streamOf(other)))).length, 1)
    }).pipe(Effect.provide(runtime)))
})
