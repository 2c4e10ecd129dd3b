import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Assignment, Daemons, type Session, type Wanted } from "../../src/actors/Daemons.ts"
import { type DaemonId, daemonIdOf, DirectiveId, OwnerId, TaskId, uuidV5 } from "../../src/events/Ids.ts"

const ownerId = OwnerId.make("ada")
const directive = (n: number) => DirectiveId.make(uuidV5(`directive ${n}`))
const task = (name: string) => TaskId.make(uuidV5(`task ${name}`))
const [first, second, third] = [directive(1), directive(2), directive(3)]

const sessionOf = (machineId: string, maxConcurrentTasks: number, owner = ownerId): Session => ({
  daemonId: daemonIdOf(owner, machineId),
  ownerId: owner,
  hostname: machineId,
  maxConcurrentTasks,
  send: () => Effect.succeed(true),
  close: Effect.void
})

const connect = Effect.fnUntraced(function*(machineId: string, maxConcurrentTasks: number, owner = ownerId) {
  const daemons = yield* Daemons
  const session = sessionOf(machineId, maxConcurrentTasks, owner)
  yield* daemons.connect(session)
  daemons.ready(session)
  return session
})

const wanted = (...names: ReadonlyArray<string>): ReadonlyArray<Wanted> =>
  names.map((name) => ({ taskId: task(name), handOver: 1, excluded: [] }))

const held = (name: string, daemonId: DaemonId, directiveId: DirectiveId): Assignment & { daemonId: DaemonId } => ({
  taskId: task(name),
  directiveId,
  daemonId,
  handOver: 1,
  interrupting: false,
  delivery: { _tag: "Acknowledged" }
})

/** Somebody who asks for daemons and notes how often it is woken. */
const asker = (daemons: Daemons["Service"], directiveId: DirectiveId) => {
  let woken = 0
  return {
    ask: (names: ReadonlyArray<string>, ending: ReadonlyArray<{ taskId: TaskId; daemonId: DaemonId }> = []) =>
      daemons.assign(ownerId, directiveId, wanted(...names), () => woken++, ending).length,
    askFor: (tasks: ReadonlyArray<Wanted>) => daemons.assign(ownerId, directiveId, tasks, () => woken++).length,
    get woken() {
      return woken
    }
  }
}

const withDaemons = (use: (daemons: Daemons["Service"]) => Effect.Effect<void, never, Daemons>) =>
  Effect.flatMap(Daemons, use).pipe(Effect.provide(Daemons.layer))

describe("Daemons", () => {
  it.effect("gives tasks to the least loaded daemons, as many as there is room for", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const small = yield* connect("small", 1)
      const large = yield* connect("large", 2)
      const places = daemons.assign(ownerId, first, wanted("a", "b", "c", "d"), () => {})
      assert.deepStrictEqual(places.map(({ daemonId }) => daemonId), [small, large, large].map((s) => s.daemonId))
    })))

  it.effect("keeps the slot of a task that ended unheard until its daemon says that it is free", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      daemons.restore(ownerId, first, [held("a", daemonId, first)])
      // As when an append was committed and nobody heard so: the daemon is still at it.
      daemons.restore(ownerId, first, [])
      const another = asker(daemons, second)
      assert.strictEqual(another.ask(["b"]), 0)
      daemons.foreign(ownerId, daemonId, [])
      assert.strictEqual(another.woken, 1)
      assert.strictEqual(another.ask(["b"]), 1)
    })))

  it.effect("gives nothing to relays, to daemons that are not ready, or to those of another owner", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      yield* connect("relay", 0)
      yield* connect("theirs", 4, OwnerId.make("bob"))
      const session = sessionOf("unready", 4)
      yield* daemons.connect(session)
      const one = asker(daemons, first)
      assert.strictEqual(one.ask(["a"]), 0)
      daemons.ready(session)
      assert.strictEqual(one.woken, 1)
      assert.strictEqual(one.ask(["a"]), 1)
    })))

  it.effect("keeps the slot of a task that ends until it is released, except for the directive whose task it was", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      const one = asker(daemons, first)
      const two = asker(daemons, second)
      one.ask(["a"])
      const ending = [{ taskId: task("a"), daemonId }]
      assert.strictEqual(one.ask(["b"], ending), 1)
      // The append failed: what the log says is that `a` is still there.
      assert.strictEqual(two.ask(["x"]), 0)
      daemons.restore(ownerId, first, [held("a", daemonId, first)])
      assert.strictEqual(two.woken, 0)
      assert.deepStrictEqual(daemons.assignments(ownerId, daemonId).map(({ taskId }) => taskId), [task("a")])
      daemons.release(ownerId, daemonId, task("a"))
      assert.strictEqual(two.woken, 1)
    })))

  it.effect("counts the slot of a task that ends once, however often its batch ends it", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 2)
      const one = asker(daemons, first)
      one.ask(["a", "b"])
      const place = { taskId: task("a"), daemonId }
      assert.strictEqual(one.ask(["c", "d"], [place, place]), 1)
    })))

  it.effect("keeps the slot of a later hand-over when an earlier one of the same task and daemon has ended", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      const one = asker(daemons, first)
      const again = { ...held("a", daemonId, first), handOver: 2 }
      daemons.restore(ownerId, first, [again])
      daemons.drain(ownerId, daemonId, task("a"))
      daemons.finished(ownerId, daemonId, task("a"), 1)
      assert.strictEqual(one.ask(["b"]), 0)
      daemons.finished(ownerId, daemonId, task("a"), 2)
      assert.strictEqual(one.ask(["b"]), 1)
    })))

  it.effect("does not count the slot of a task that the daemon does not have", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      asker(daemons, first).ask(["a"])
      assert.strictEqual(asker(daemons, second).ask(["x"], [{ taskId: task("y"), daemonId }]), 0)
    })))

  it.effect("lets those who wait have their turns, nobody two in a row", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      const [one, two, three] = [asker(daemons, first), asker(daemons, second), asker(daemons, third)]
      one.ask(["a", "b"])
      two.ask(["x"])
      three.ask(["z"])
      daemons.release(ownerId, daemonId, task("a"))
      assert.deepStrictEqual([one.woken, two.woken, three.woken], [0, 1, 0])
      assert.strictEqual(one.ask(["b"]), 0)
      assert.strictEqual(two.ask(["x"]), 1)
      daemons.release(ownerId, daemonId, task("x"))
      assert.deepStrictEqual([one.woken, two.woken, three.woken], [1, 1, 0])
      assert.strictEqual(one.ask(["b", "c"]), 1)
      daemons.release(ownerId, daemonId, task("b"))
      assert.deepStrictEqual([one.woken, two.woken, three.woken], [1, 1, 1])
    })))

  it.effect("keeps the turn of a directive whose slot is gone before it has asked", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const session = yield* connect("one", 1)
      const [one, two, three] = [asker(daemons, first), asker(daemons, second), asker(daemons, third)]
      one.ask(["a"])
      two.ask(["x"])
      three.ask(["z"])
      daemons.release(ownerId, session.daemonId, task("a"))
      daemons.disconnect(session)
      assert.strictEqual(two.ask(["x"]), 0)
      yield* connect("one", 1)
      assert.deepStrictEqual([two.woken, three.woken], [2, 0])
    })))

  it.effect("gives one at a time while others want some, and all to who is alone", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const [one, two] = [asker(daemons, first), asker(daemons, second)]
      one.ask(["a", "b", "c"])
      two.ask(["x"])
      yield* connect("one", 5)
      assert.deepStrictEqual([one.woken, two.woken], [1, 1])
      assert.strictEqual(one.ask(["a", "b", "c"]), 1)
      assert.strictEqual(two.ask(["x"]), 1)
      assert.strictEqual(one.woken, 2)
      assert.strictEqual(one.ask(["b", "c"]), 2)
    })))

  it.effect("passes the turn on when a directive does not run any more", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      const [one, two, three] = [asker(daemons, first), asker(daemons, second), asker(daemons, third)]
      one.ask(["a"])
      two.ask(["x"])
      three.ask(["z"])
      daemons.release(ownerId, daemonId, task("a"))
      daemons.withdraw(ownerId, second)
      assert.strictEqual(three.woken, 1)
      assert.strictEqual(three.ask(["z"]), 1)
    })))

  it.effect("wakes a directive whose task is excluded from the daemon with room when another one has room", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const bad = yield* connect("bad", 1)
      const good = yield* connect("good", 1)
      const one = asker(daemons, first)
      const two = asker(daemons, second)
      daemons.restore(ownerId, first, [held("busy", good.daemonId, first)])
      assert.strictEqual(two.askFor([{ taskId: task("x"), handOver: 2, excluded: [bad.daemonId] }]), 0)
      assert.strictEqual(two.woken, 0)
      daemons.release(ownerId, good.daemonId, task("busy"))
      assert.strictEqual(two.woken, 1)
      assert.strictEqual(one.woken, 0)
    })))

  it.effect("counts what a daemon does without being assigned it, until it says that it has ended", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 2)
      const one = asker(daemons, first)
      one.ask(["a"])
      daemons.drain(ownerId, daemonId, task("a"))
      daemons.foreign(ownerId, daemonId, [task("a"), task("unknown")])
      assert.strictEqual(one.ask(["b"]), 0)
      daemons.finished(ownerId, daemonId, task("a"))
      assert.strictEqual(one.woken, 1)
      assert.strictEqual(one.ask(["b", "c"]), 1)
    })))

  it.effect("takes a lost daemon's tasks for running when it is back, until it says what it has", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const session = yield* connect("one", 1)
      const { daemonId } = session
      const one = asker(daemons, first)
      one.ask(["a"])
      daemons.disconnect(session)
      daemons.lose(ownerId, daemonId)
      assert.deepStrictEqual(
        daemons.abandoned(ownerId).map((place) => [place.taskId, place.daemonId]),
        [[task("a"), daemonId]]
      )
      daemons.release(ownerId, daemonId, task("a"))
      yield* connect("one", 1)
      assert.deepStrictEqual(daemons.abandoned(ownerId), [])
      assert.strictEqual(one.ask(["b"]), 0)
      daemons.foreign(ownerId, daemonId, [])
      assert.strictEqual(one.ask(["b"]), 1)
    })))

  it.effect("does not lose a daemon that is here", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      asker(daemons, first).ask(["a"])
      daemons.lose(ownerId, daemonId)
      assert.deepStrictEqual(daemons.abandoned(ownerId), [])
    })))

  it.effect("closes the earlier connection of a daemon that comes anew, whose end then says nothing", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      let closed = 0
      const earlier = { ...sessionOf("one", 1), close: Effect.sync(() => void closed++) }
      yield* daemons.connect(earlier)
      const later = yield* connect("one", 1)
      assert.strictEqual(closed, 1)
      assert.isFalse(daemons.disconnect(earlier))
      assert.deepStrictEqual(daemons.sessions(ownerId), [later])
      assert.isTrue(daemons.disconnect(later))
    })))

  it.effect("knows which reports have not reached their directive yet", () =>
    withDaemons(Effect.fnUntraced(function*(daemons) {
      const { daemonId } = yield* connect("one", 1)
      const ends = [1, 2].map(() => daemons.reporting(ownerId, daemonId, task("a")))
      ends[0]!()
      assert.isTrue(daemons.isReporting(ownerId, daemonId, task("a")))
      ends[1]!()
      assert.isFalse(daemons.isReporting(ownerId, daemonId, task("a")))
    })))
})

/**
 * Goal: whatever happens in whatever order, no daemon gets more than it has room for or somebody else's task, and
 * nobody sleeps while there is room. Method: random histories over two owners with two daemons and three directives
 * each, where directives that were woken ask in a random order, or fail and start anew. Not checked: that the
 * directives tell the book the truth; `DirectiveActor` tests do that.
 */
const Move = Schema.Union([
  Schema.Struct({ do: Schema.Literal("connect"), daemon: Schema.Literals([0, 1]), max: Schema.Literals([0, 1, 2, 3]) }),
  Schema.Struct({ do: Schema.Literal("disconnect"), daemon: Schema.Literals([0, 1]) }),
  Schema.Struct({ do: Schema.Literal("lose"), daemon: Schema.Literals([0, 1]) }),
  Schema.Struct({
    do: Schema.Literal("want"),
    directive: Schema.Literals([0, 1, 2]),
    more: Schema.Literals([1, 2, 3])
  }),
  Schema.Struct({ do: Schema.Literal("ask"), directive: Schema.Literals([0, 1, 2]) }),
  Schema.Struct({ do: Schema.Literal("end"), directive: Schema.Literals([0, 1, 2]), fails: Schema.Boolean }),
  Schema.Struct({ do: Schema.Literal("supersede"), directive: Schema.Literals([0, 1, 2]) }),
  Schema.Struct({ do: Schema.Literal("park"), directive: Schema.Literals([0, 1, 2]) }),
  Schema.Struct({
    do: Schema.Literal("exclude"),
    directive: Schema.Literals([0, 1, 2]),
    daemon: Schema.Literals([0, 1])
  }),
  Schema.Struct({ do: Schema.Literal("heartbeat"), daemon: Schema.Literals([0, 1]), strange: Schema.Boolean })
]).pipe((move) => Schema.Struct({ owner: Schema.Literals([0, 1]), move }))

class Fleet {
  readonly ownerId: OwnerId
  readonly daemons: Daemons["Service"]
  readonly sessions: Array<Session | undefined> = [undefined, undefined]
  /** What each daemon is really doing. */
  readonly running = new Map<DaemonId, Set<TaskId>>()
  readonly directives: ReadonlyArray<Asking>

  constructor(daemons: Daemons["Service"], ownerId: OwnerId) {
    this.daemons = daemons
    this.ownerId = ownerId
    this.directives = [0, 1, 2].map((n) => new Asking(this, DirectiveId.make(uuidV5(`${ownerId} ${n}`))))
  }

  daemonId(daemon: number): DaemonId {
    return daemonIdOf(this.ownerId, `machine ${daemon}`)
  }

  /** The tasks of a daemon, where it has room for what it is given. */
  runningOn(daemonId: DaemonId): Set<TaskId> {
    const running = this.running.get(daemonId) ?? new Set()
    this.running.set(daemonId, running)
    return running
  }
}

class Asking {
  readonly fleet: Fleet
  readonly id: DirectiveId
  wants = 0
  counter = 0
  isWoken = false
  excluded: ReadonlyArray<DaemonId> = []
  held: Array<{ readonly taskId: TaskId; readonly daemonId: DaemonId }> = []

  constructor(fleet: Fleet, id: DirectiveId) {
    this.fleet = fleet
    this.id = id
  }

  /** One batch of the actor: asks, and appends what it got, or fails to. */
  ask(ending: ReadonlyArray<{ taskId: TaskId; daemonId: DaemonId }> = [], fails = false): void {
    const { daemons, ownerId } = this.fleet
    this.isWoken = false
    const tasks = Array.from({ length: this.wants }, (_, i) => ({
      taskId: TaskId.make(uuidV5(`${this.id} ${this.counter + i}`)),
      handOver: 1,
      excluded: this.excluded
    }))
    const places = daemons.assign(ownerId, this.id, tasks, () => (this.isWoken = true), ending)
    if (fails) return this.restart()
    this.counter += this.wants
    this.wants -= places.length
    this.held = this.held.filter((one) => !ending.includes(one)).concat(places)
    for (const { daemonId, taskId } of ending) this.fleet.runningOn(daemonId).delete(taskId)
    for (const { daemonId, taskId } of places) {
      const session = daemons.sessions(ownerId).find((one) => one.daemonId === daemonId)
      assert.isDefined(session, "a task goes to a daemon of its owner that is connected")
      const running = this.fleet.runningOn(daemonId).add(taskId)
      assert.isAtMost(running.size, session.maxConcurrentTasks, "no daemon gets more than it said it can take")
    }
    for (const { daemonId, taskId } of ending) daemons.release(ownerId, daemonId, taskId)
  }

  restart(): void {
    const { daemons, ownerId } = this.fleet
    daemons.withdraw(ownerId, this.id)
    const rest = { directiveId: this.id, handOver: 1, interrupting: false, delivery: { _tag: "Acknowledged" } } as const
    const assignments = this.held.map((one) => ({ ...one, ...rest }))
    daemons.restore(ownerId, this.id, assignments)
    // As the loop does: the first batch after a restart asks for what is wanted.
    this.isWoken = true
  }
}

const carryOut = Effect.fnUntraced(function*(fleet: Fleet, move: (typeof Move.Type)["move"]) {
  const { daemons, ownerId } = fleet
  switch (move.do) {
    case "connect": {
      const daemonId = fleet.daemonId(move.daemon)
      // A daemon does not come back smaller than what it is doing.
      const max = Math.max(move.max, fleet.runningOn(daemonId).size)
      const session = { ...sessionOf(`machine ${move.daemon}`, max, ownerId), daemonId }
      fleet.sessions[move.daemon] = session
      yield* daemons.connect(session)
      daemons.foreign(ownerId, daemonId, foreignOf(fleet, daemonId))
      daemons.ready(session)
      return
    }
    case "disconnect": {
      const session = fleet.sessions[move.daemon]
      if (session !== undefined) daemons.disconnect(session)
      fleet.sessions[move.daemon] = undefined
      return
    }
    case "lose": {
      const daemonId = fleet.daemonId(move.daemon)
      if (fleet.sessions[move.daemon] !== undefined) return
      daemons.lose(ownerId, daemonId)
      // The directives take the tasks back; the daemon goes on with them.
      for (const asking of fleet.directives) {
        for (const one of asking.held.filter((place) => place.daemonId === daemonId)) {
          asking.held = asking.held.filter((other) => other !== one)
          asking.wants += 1
          daemons.release(ownerId, daemonId, one.taskId)
        }
        asking.ask()
      }
      return
    }
    case "want":
      fleet.directives[move.directive]!.wants += move.more
      return fleet.directives[move.directive]!.ask()
    case "ask":
      return fleet.directives[move.directive]!.ask()
    case "end": {
      const asking = fleet.directives[move.directive]!
      return asking.ask(asking.held.slice(0, 1), move.fails)
    }
    case "supersede": {
      // A late success from elsewhere: the daemon of the newer hand-over is still at it.
      const asking = fleet.directives[move.directive]!
      const one = asking.held.shift()
      if (one !== undefined) daemons.drain(ownerId, one.daemonId, one.taskId)
      return
    }
    case "park":
      fleet.directives[move.directive]!.restart()
      return
    case "exclude": {
      const asking = fleet.directives[move.directive]!
      asking.excluded = asking.excluded.length > 0 ? [] : [fleet.daemonId(move.daemon)]
      return asking.ask()
    }
    case "heartbeat": {
      if (fleet.sessions[move.daemon] === undefined) return
      const daemonId = fleet.daemonId(move.daemon)
      // What was taken from it has ended by now.
      for (const taskId of foreignOf(fleet, daemonId)) {
        fleet.runningOn(daemonId).delete(taskId)
        daemons.finished(ownerId, daemonId, taskId)
      }
      daemons.foreign(ownerId, daemonId, move.strange ? [task("strange")] : [])
      return
    }
  }
})

const foreignOf = (fleet: Fleet, daemonId: DaemonId): ReadonlyArray<TaskId> => {
  const held = new Set(fleet.directives.flatMap((one) => one.held.map(({ taskId }) => taskId)))
  return [...fleet.runningOn(daemonId)].filter((taskId) => !held.has(taskId))
}

/** When nothing changes any more and everybody who was woken has asked, nobody who can be served is left waiting. */
const settle = (fleet: Fleet): void => {
  for (let round = 0; fleet.directives.some(({ isWoken }) => isWoken); round++) {
    assert.isBelow(round, 100, "waking comes to an end")
    for (const asking of fleet.directives) if (asking.isWoken) asking.ask()
  }
  const { daemons, ownerId } = fleet
  for (const session of daemons.sessions(ownerId)) {
    const { daemonId, maxConcurrentTasks } = session
    const assigned = daemons.assignments(ownerId, daemonId).map(({ taskId }) => taskId)
    const foreign = [...foreignOf(fleet, daemonId), task("strange")].filter((taskId) =>
      daemons.isForeign(ownerId, daemonId, taskId)
    )
    if (new Set([...assigned, ...foreign]).size >= maxConcurrentTasks) continue
    for (const asking of fleet.directives) {
      assert.isTrue(asking.wants === 0 || asking.excluded.includes(daemonId), "nobody waits while there is room")
    }
  }
}

describe("Daemons, whatever happens", () => {
  it.effect.prop(
    "never gives a daemon too much, and lets nobody sleep while there is room",
    { history: Schema.Array(Move).check(Schema.isMinLength(60), Schema.isMaxLength(120)) },
    ({ history }) =>
      Effect.gen(function*() {
        const daemons = yield* Daemons
        const fleets = [new Fleet(daemons, OwnerId.make("ada")), new Fleet(daemons, OwnerId.make("bob"))] as const
        for (const { move, owner } of history) {
          yield* carryOut(fleets[owner], move)
          for (const fleet of fleets) {
            for (const asking of fleet.directives) {
              for (const { daemonId } of asking.held) {
                assert.include([fleet.daemonId(0), fleet.daemonId(1)], daemonId, "no other owner's daemon")
              }
            }
          }
        }
        for (const fleet of fleets) settle(fleet)
      }).pipe(Effect.provide(Daemons.layer))
  )
})
