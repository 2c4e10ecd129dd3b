/**
 * Goal: the directives of an owner share its daemons' slots fairly, waiting costs nothing, and giving out a slot costs
 * what it concerns. Method: real directives on the log in memory, random histories of the slot book, and counts of what
 * was executed. Not checked here: that nobody gets too much (`Daemons.test.ts`).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries } from "../../src/actors/DaemonRegistryActor.ts"
import { Daemons, type Place, type Session } from "../../src/actors/Daemons.ts"
import * as Directive from "../../src/actors/Directive.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { type DaemonId, daemonIdOf, DirectiveId, OwnerId, TaskId, uuidV5 } from "../../src/events/Ids.ts"
import { counting } from "../support/executed.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"

const ownerId = OwnerId.make("ada")
const directive = (name: string | number) => DirectiveId.make(uuidV5(`directive ${name}`))

let asked = 0
const countingDaemons = Layer.effect(
  Daemons,
  Effect.map(Daemons, (daemons) =>
    Daemons.of({
      ...daemons,
      assign: (...args) => {
        asked += 1
        return daemons.assign(...args)
      }
    }))
).pipe(Layer.provide(Daemons.layer))

const runtime = DaemonRegistries.layer.pipe(
  Layer.provideMerge(Directives.layer),
  Layer.provideMerge(Layer.mergeAll(Supervisor.layer, countingDaemons)),
  Layer.provideMerge(EventLog.layerMemory)
)

const start = Effect.fnUntraced(function*(directiveId: DirectiveId, steps: number) {
  const directives = yield* Directives
  // Without a repository there is no completion: the steps are all there is to do.
  yield* directives.ask(directiveId, { _tag: "CreateDirective", ownerId, title: "Greet", goal: "Say hello" })
  yield* directives.ask(directiveId, {
    _tag: "AddSteps",
    steps: Array.from({ length: steps }, (_, n) => ({ name: `${n}` }))
  })
  yield* directives.ask(directiveId, { _tag: "StartDirective" })
})

describe("Directives on few slots", () => {
  it.effect("one of 1,000 ready steps gets one slot while fifty of one step wait", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const slots = 3
      const daemon = yield* connectDaemon(ownerId, "one", slots)
      const big = directive("big")
      yield* start(big, 1_000)
      const smalls = Array.from({ length: 50 }, (_, n) => directive(n))
      for (const small of smalls) yield* start(small, 1)
      const waiting = new Set<string>(smalls)
      const tasks = 1_000 + smalls.length
      for (let ended = 0; ended < tasks; ended++) yield* daemon.report(yield* daemon.nextTask, "completed")

      const handedOver = yield* log.readAll().pipe(
        Stream.filter(({ event }) => event._tag === "TaskHandedOver"),
        Stream.map(({ stream }) => stream),
        Stream.runCollect
      )
      assert.strictEqual(handedOver.length, tasks)
      let whileOneWaits = 0
      for (const stream of handedOver.slice(slots)) {
        waiting.delete(stream.slice(Directive.streamOf(big).length - big.length))
        if (stream === Directive.streamOf(big) && waiting.size > 0) whileOneWaits += 1
      }
      assert.strictEqual(whileOneWaits, 1)
      // Whoever came first was first.
      assert.deepStrictEqual(
        handedOver.filter((stream) => stream !== Directive.streamOf(big)),
        smalls.map((id) => Directive.streamOf(id))
      )
    }).pipe(Effect.provide(runtime)))

  it.effect("costs nothing to wait", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      const daemon = yield* connectDaemon(ownerId, "one", 1)
      for (let n = 0; n < 100; n++) yield* start(directive(n), 2)
      // They were drafts for a moment, and would have left the memory by now if they had stayed so.
      yield* TestClock.adjust("1 hour")
      const before = { asked, head: yield* log.head }
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual({ asked, head: yield* log.head }, before)
      // An ending wakes one, which waits again: itself and the one whose task ended ask, and nobody else.
      const task = yield* daemon.nextTask
      yield* daemon.report(task, "completed")
      yield* daemon.nextTask
      assert.isAtMost(asked - before.asked, 3)
    }).pipe(Effect.provide(runtime)))
})

const sessionOf = (machine: number, maxConcurrentTasks: number): Session => ({
  daemonId: daemonIdOf(ownerId, `machine ${machine}`),
  ownerId,
  hostname: "",
  maxConcurrentTasks,
  send: () => Effect.succeed(true),
  close: Effect.void
})

const Move = Schema.Union([
  Schema.Struct({
    do: Schema.Literal("want"),
    directive: Schema.Literals([0, 1, 2, 3, 4]),
    more: Schema.Literals([1, 2, 9])
  }),
  Schema.Struct({
    do: Schema.Literal("end"),
    directive: Schema.Literals([0, 1, 2, 3, 4]),
    tasks: Schema.Literals([1, 2])
  }),
  Schema.Struct({ do: Schema.Literal("connect"), daemon: Schema.Literals([0, 1]), max: Schema.Literals([1, 2, 4]) }),
  Schema.Struct({ do: Schema.Literal("disconnect"), daemon: Schema.Literals([0, 1]) }),
  /** One that was woken asks. */
  Schema.Struct({ do: Schema.Literal("ask"), directive: Schema.Literals([0, 1, 2, 3, 4]) })
])

class Asking {
  readonly id: DirectiveId
  wants = 0
  named = 0
  isWoken = false
  /** What each other directive got since this one waits: undefined while it does not, or a slot is kept for it. */
  others: Map<DirectiveId, number> | undefined
  held: ReadonlyArray<Place> = []

  constructor(n: number) {
    this.id = directive(n)
  }

  ask(daemons: Daemons["Service"], all: ReadonlyArray<Asking>, ending: ReadonlyArray<Place> = []): void {
    this.isWoken = false
    const wanted = Array.from({ length: this.wants }, (_, n) => ({
      taskId: TaskId.make(uuidV5(`${this.id} ${this.named + n}`)),
      handOver: 1,
      excluded: []
    }))
    const wake = () => {
      this.isWoken = true
      this.others = undefined
    }
    const places = daemons.assign(ownerId, this.id, wanted, wake, ending)
    this.named += places.length
    this.wants -= places.length
    this.held = this.held.filter((place) => !ending.includes(place)).concat(places)
    for (const { others } of all) {
      if (places.length > 0 && others !== undefined) others.set(this.id, (others.get(this.id) ?? 0) + places.length)
    }
    if (this.wants === 0 || this.isWoken) this.others = undefined
    else if (this.others === undefined || places.length > 0) this.others = new Map()
    for (const { daemonId, taskId } of ending) daemons.release(ownerId, daemonId, taskId)
  }
}

describe("Directives that come and go", () => {
  it.effect.prop(
    "never wait while another gets two slots",
    { history: Schema.Array(Move).check(Schema.isMinLength(60), Schema.isMaxLength(150)) },
    ({ history }) =>
      Effect.gen(function*() {
        const daemons = yield* Daemons
        const all = [0, 1, 2, 3, 4].map((n) => new Asking(n))
        const sessions: Array<Session | undefined> = []
        for (const move of history) {
          switch (move.do) {
            case "connect": {
              const session = sessionOf(move.daemon, move.max)
              yield* daemons.connect(session)
              daemons.ready(session)
              sessions[move.daemon] = session
              break
            }
            case "disconnect": {
              const session = sessions[move.daemon]
              if (session !== undefined) daemons.disconnect(session)
              break
            }
            case "want":
              all[move.directive]!.wants += move.more
              all[move.directive]!.ask(daemons, all)
              break
            case "end": {
              const asking = all[move.directive]!
              asking.ask(daemons, all, asking.held.slice(0, move.tasks))
              break
            }
            case "ask":
              if (all[move.directive]!.isWoken) all[move.directive]!.ask(daemons, all)
          }
          for (const { others } of all) {
            for (const got of others?.values() ?? []) assert.isAtMost(got, 1, "nobody waits while another gets two")
          }
        }
      }).pipe(Effect.provide(Daemons.layer))
  )
})

/** So many daemons, all full; so many directives that wait; and a slot is given from one task to the next, often. */
const executed = Effect.fnUntraced(function*(others: { readonly daemons: number; readonly waiting: number }) {
  const count = counting(["slots.ts", "turns.ts", "line.ts", "aside.ts", "ranking.ts", "actors/Daemons.ts"])
  const daemons = yield* Daemons
  let named = 0
  const wanted = (excluded: ReadonlyArray<DaemonId> = []) => [
    { taskId: TaskId.make(uuidV5(`task ${named++}`)), handOver: 1, excluded }
  ]
  for (let n = 0; n < others.daemons; n++) {
    const session = sessionOf(n, 1)
    yield* daemons.connect(session)
    daemons.ready(session)
  }
  // One is broken: some of those who wait do not want it.
  const broken = daemonIdOf(ownerId, "machine 0")
  daemons.foreign(ownerId, broken, [TaskId.make(uuidV5("something"))])
  const places = Array.from({ length: others.daemons - 1 }, (_, n) => ({
    directiveId: directive(`holder ${n}`),
    ...daemons.assign(ownerId, directive(`holder ${n}`), wanted(), () => {})[0]!
  }))
  daemons.foreign(ownerId, broken, [])
  const woken: Array<DirectiveId> = []
  for (let n = 0; n < others.waiting; n++) {
    const excluded = n % 2 === 0 ? [broken] : []
    daemons.assign(ownerId, directive(n), wanted(excluded), () => woken.push(directive(n)))
  }
  daemons.foreign(ownerId, broken, [TaskId.make(uuidV5("something"))])
  while (woken.length > 0) daemons.assign(ownerId, woken.shift()!, wanted([broken]), () => {})
  const operations = count.of(() => {
    for (let n = 0; n < 100; n++) {
      const { daemonId, taskId } = places[n % places.length]!
      daemons.release(ownerId, daemonId, taskId)
      const next = woken.shift()!
      const [place] = daemons.assign(ownerId, next, [...wanted(), ...wanted()], () => {})
      places[n % places.length] = { directiveId: next, ...place! }
    }
  })
  count.end()
  return operations
}, Effect.provide(Daemons.layer))

describe("Giving a slot, its cost", () => {
  it.effect(
    "is that of a few waiting directives among 10,000, and of a few daemons among 1,000",
    () =>
      Effect.gen(function*() {
        const small = yield* executed({ daemons: 10, waiting: 200 })
        const waiting = yield* executed({ daemons: 10, waiting: 10_000 })
        const large = yield* executed({ daemons: 1_000, waiting: 10_000 })
        assert.isAbove(small, 1_000)
        // V8 misses some of what it has inlined, so the counts differ a little.
        assert.isAtMost(waiting, small * 1.2)
        assert.isAtMost(large, small * 1.2)
      }),
    20_000
  )
})
