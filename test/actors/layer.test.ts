/** How directives come up together. That each goes on from the log is shown where directives are. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { ActorUnavailable } from "../../src/actors/internal/mailbox.ts"
import { layerActors, resume } from "../../src/actors/layer.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { DirectiveId } from "../../src/events/Ids.ts"
import { ownerId } from "../support/directive.ts"

it.effect("directives that take long to come up do not hold up those that do not, and come up all the same", () =>
  Effect.gen(function*() {
    const directives = yield* Directives
    const registries = yield* DaemonRegistries
    const active = Array.from(
      { length: 1_000 },
      (_, i) => ({ directiveId: DirectiveId.make(`00000000-0000-4000-8000-${String(i).padStart(12, "0")}`), ownerId })
    )
    const up = new Map<DirectiveId, number>()
    // Half of them fail at first, and are started again after a while.
    const comeUp = (directiveId: DirectiveId) =>
      Effect.sleep(Number(directiveId.slice(-1)) % 2 * 5_000).pipe(
        Effect.andThen(Clock.currentTimeMillis),
        Effect.map((now) => void up.set(directiveId, now))
      )
    let readyAt = Infinity
    yield* resume(active).pipe(
      Effect.provideService(Directives, { ...directives, resume: comeUp }),
      Effect.provideService(DaemonRegistries, { ...registries, resume: () => Effect.sleep(5_000) }),
      Effect.andThen(Clock.currentTimeMillis),
      Effect.map((now) => readyAt = now),
      Effect.forkScoped
    )
    for (let step = 0; step < 200; step++) yield* TestClock.adjust(50)
    assert.isAtMost(readyAt, 4_500)
    assert.strictEqual(up.size, active.length)
    assert.isAtMost(Math.max(...[...up].filter(([id]) => Number(id.slice(-1)) % 2 === 0).map(([, at]) => at)), readyAt)
  }).pipe(Effect.provide(Layer.provide(layerActors, EventLog.layerMemory))))

it.effect("a directive that cannot come up is tried again, unless it is parked", () =>
  Effect.gen(function*() {
    const directives = yield* Directives
    const registries = yield* DaemonRegistries
    const [away, parked] = ["0", "1"].map((n) => DirectiveId.make(`00000000-0000-4000-8000-00000000000${n}`)) as [
      DirectiveId,
      DirectiveId
    ]
    const tries: Array<DirectiveId> = []
    const comeUp = Effect.fnUntraced(function*(directiveId: DirectiveId) {
      tries.push(directiveId)
      if (directiveId === away && tries.filter((id) => id === away).length === 3) return
      return yield* new ActorUnavailable({
        address: directiveId,
        because: "it cannot",
        ...(directiveId === parked ? { parked: { since: 0, cause: "it is broken" } } : {})
      })
    })
    yield* resume([away, parked].map((directiveId) => ({ directiveId, ownerId }))).pipe(
      Effect.provideService(Directives, { ...directives, resume: comeUp }),
      Effect.provideService(DaemonRegistries, { ...registries, resume: () => Effect.void }),
      Effect.forkScoped
    )
    for (let second = 0; second < 10; second++) yield* TestClock.adjust(1_000)
    assert.deepStrictEqual(tries, [away, parked, away, away])
  }).pipe(Effect.provide(Layer.provide(layerActors, EventLog.layerMemory))))
