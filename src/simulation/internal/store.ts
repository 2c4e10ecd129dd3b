/**
 * The store that all simulated processes share: the event log in memory, behind connections that are slow, break, and
 * leave it open what became of an append.
 *
 * Each process has a connection of its own and commits what waits together, as `events/internal/groupCommit.ts` does.
 */
import { Effect, Exit, Option, Stream } from "effect"
import { LeaseUnknown } from "../../actors/Leases.ts"
import * as Leases from "../../actors/MemoryLeases.ts"
import {
  EventLog,
  EventLogError,
  type RecordedEvent,
  type StreamAppend,
  type StreamFenced
} from "../../events/EventLog.ts"
import type { Snapshot, Snapshots, SnapshotsError } from "../../events/Snapshots.ts"
import type { LoggedEvent } from "../../events/Unreadable.ts"
import type { Chance } from "./chance.ts"
import type { Faults } from "./faults.ts"
import type { Fibers } from "./fibers.ts"
import type { Time } from "./time.ts"

type Log = EventLog["Service"]
type AppendExit = Exit.Exit<ReadonlyArray<RecordedEvent>, Effect.Error<ReturnType<Log["append"]>>>
type ClaimExit = Exit.Exit<ReadonlyArray<number>, StreamFenced | EventLogError>

/** An append or a claim that waits for the next commit. */
interface Waiting {
  readonly about: string
  /** Does it, and says so when told to. */
  readonly commit: () => void
  readonly answer: () => void
  readonly fail: (outcome: "nothing" | "unknown", because: string) => void
  readonly isClaim: boolean
  isAbandoned: boolean
}

const commitFates = [
  "crashBeforeCommit",
  "crashAfterCommit",
  "appendRefused",
  "appendAnswerLost",
  "appendLate",
  "appendGone",
  "appendSlow",
  "freezeAtCommit"
] as const

/** How a connection tells its process that it has died. */
export interface Process {
  readonly name: string
  readonly fibers: Fibers
  readonly crash: () => void
}

export class Store {
  readonly log: Log
  readonly events: Array<RecordedEvent> = []
  readonly snapshots = new Map<string, Snapshot>()
  readonly #time: Time
  readonly #faults: Faults
  readonly #onCommit: (events: ReadonlyArray<RecordedEvent>, node: string) => void
  readonly #onSnapshot: (snapshot: Snapshot) => void
  readonly #counts = new Map<string, number>()
  /** What is on its way for so long that another takes over meanwhile. */
  #heldUp: Array<() => void> = []
  /** Nobody reaches the store until then. */
  awayUntil = 0

  constructor(
    time: Time,
    faults: Faults,
    onCommit: (events: ReadonlyArray<RecordedEvent>, node: string) => void,
    onSnapshot: (snapshot: Snapshot) => void
  ) {
    this.#time = time
    this.#faults = faults
    this.#onCommit = onCommit
    this.#onSnapshot = onSnapshot
    this.log = Effect.runSync(EventLog.pipe(Effect.provide(EventLog.layerMemory)))
  }

  connect(process: Process): { readonly log: Log; readonly snapshots: Snapshots } {
    const { fibers } = process
    let waiting: Array<Waiting> = []
    let isBusy = false

    const wait = (one: Waiting) => {
      waiting.push(one)
      kick()
      return Effect.sync(() => {
        one.isAbandoned = true
      })
    }
    const kick = () => {
      if (isBusy || waiting.length === 0) return
      isBusy = true
      // Those who come in the same moment are part of it.
      this.#time.after(0, () => {
        const group = waiting.filter(({ isAbandoned }) => !isAbandoned)
        waiting = []
        if (fibers.isDead) return
        if (group.length === 0) return done()
        this.#commit(process, group, done)
      })
    }
    const done = () => {
      isBusy = false
      kick()
    }

    const append: Log["append"] = (appends, about) =>
      Effect.callback((resume) => {
        let exit: AppendExit | undefined
        return wait({
          about: aboutAppend(appends),
          isClaim: false,
          isAbandoned: false,
          commit: () => {
            exit = Effect.runSyncExit(this.log.append(appends, about))
            if (Exit.isSuccess(exit) && exit.value.length > 0) {
              this.events.push(...exit.value)
              this.#onCommit(exit.value, process.name)
            }
          },
          answer: () => resume(exit!),
          fail: (outcome, because) => resume(failure("append", because, outcome))
        })
      })
    const claim: Log["claim"] = (streams, owner, fence) => {
      const [first = ""] = streams
      // The fence of a process goes with its row in the table of leases: at once, or not at all.
      if (first.startsWith(Leases.streamOf(""))) return reading("claim", first, this.log.claim(streams, owner, fence))
      return Effect.callback((resume) => {
        let exit: ClaimExit | undefined
        return wait({
          about: `claim of ${first}`,
          isClaim: true,
          isAbandoned: false,
          commit: () => {
            exit = Effect.runSyncExit(this.log.claim(streams, owner, fence))
          },
          answer: () => resume(exit!),
          fail: (outcome, because) => resume(failure("claim", because, outcome))
        })
      })
    }
    const reading = <A, E>(
      method: string,
      about: string,
      read: Effect.Effect<A, E>
    ): Effect.Effect<A, E | EventLogError> =>
      Effect.callback((resume) => {
        const key = this.#keyOf(`${method} ${about}`)
        const latency = latencyOf(this.#faults.chance(`latency ${key}`))
        const isRefused = this.isAway() ||
          this.#faults.strikes("readRefused", key, () => `the store refuses to ${method} ${about}`)
        return Effect.sync(
          fibers.after(latency, () => resume(isRefused ? failure(method, unreachable, "nothing") : read))
        )
      })
    const streaming = <A, E>(method: string, about: string, read: Stream.Stream<A, E>) =>
      Stream.unwrap(reading(method, about, Effect.succeed(read)))

    return {
      log: {
        append,
        claim,
        read: (stream, options) => streaming("read", stream, this.log.read(stream, options)),
        readAll: (options) => streaming("read", "all", this.log.readAll(options)),
        subscribe: (options) => streaming("subscribe", "all", this.log.subscribe(options)),
        findAnswer: (stream, commandId) => reading("find an answer in", stream, this.log.findAnswer(stream, commandId)),
        streamHead: (stream) => reading("find the head of", stream, this.log.streamHead(stream)),
        truncate: (stream, before) => reading("truncate", stream, this.log.truncate(stream, before)),
        head: reading("find the head of", "all", this.log.head)
      },
      snapshots: {
        save: (snapshot) =>
          Effect.callback((resume) => {
            const about = `${snapshot.stream}@${snapshot.version}`
            // Nobody waits for it, so it may take long.
            const latency = this.#faults.chance(`latency of ${about}`).spread(1, 5_000)
            return Effect.sync(fibers.after(latency, () => {
              this.#onSnapshot(snapshot)
              this.#keep(snapshot, about)
              resume(Effect.void)
            }))
          }),
        load: (stream) =>
          Effect.sync((): Option.Option<Snapshot> => Option.fromUndefinedOr(this.snapshots.get(stream))),
        drop: (stream): Effect.Effect<void, SnapshotsError> =>
          Effect.sync(() => stream === undefined ? this.snapshots.clear() : void this.snapshots.delete(stream))
      }
    }
  }

  #keep(snapshot: Snapshot, about: string): void {
    if (this.#faults.strikes("snapshotLost", about, () => `the snapshot ${about} is lost`)) return
    const before = this.snapshots.get(snapshot.stream)
    const isTorn = before !== undefined &&
      this.#faults.strikes(
        "snapshotTorn",
        about,
        () => `the snapshot ${about} is kept with the state of an earlier one`
      )
    this.snapshots.set(snapshot.stream, isTorn ? { ...snapshot, state: before.state } : snapshot)
  }

  /** Commits a group in its time, with whatever goes wrong. */
  #commit(process: Process, group: ReadonlyArray<Waiting>, done: () => void): void {
    const { fibers } = process
    const first = group[0]!
    const key = this.#keyOf(first.about)
    const chance = this.#faults.chance(`latency ${key}`)
    let latency = latencyOf(chance)
    if (this.isAway()) {
      // A connection that is not made, or one that breaks.
      return this.#later(fibers, chance.between(1, 1000), () => {
        for (const one of group) one.fail("nothing", unreachable)
        done()
      })
    }
    const fate = this.#faults.oneOf(commitFates, key, (kind) => fateText(kind, process.name, first.about, group.length))
    const answerAll = (from: ReadonlyArray<Waiting>) => {
      for (const one of from) one.answer()
      done()
    }
    const failAll = (outcome: "nothing" | "unknown", from: ReadonlyArray<Waiting>) => {
      for (const one of from) one.fail(outcome, broken)
      done()
    }
    const commitAll = () => {
      // Whoever has been asked for it does it, whether the process lives on or not.
      for (const one of group) one.commit()
    }
    switch (fate) {
      case "crashBeforeCommit":
        return process.crash()
      case "crashAfterCommit":
        return void this.#time.after(latency, () => {
          commitAll()
          process.crash()
        })
      case "appendRefused":
        return this.#later(fibers, latency, () => failAll("nothing", group))
      case "appendGone":
        return this.#later(fibers, latency, () => failAll("unknown", group))
      case "appendAnswerLost":
        this.#time.after(latency, commitAll)
        return this.#later(fibers, latency + chance.between(0, 2000), () => failAll("unknown", group))
      case "appendLate":
        this.#later(fibers, latency, () => failAll("unknown", group))
        return void this.#time.after(latency + chance.spread(1, 120_000), commitAll)
      case "appendSlow":
        latency = chance.spread(50, 20_000)
        break
      case "freezeAtCommit": {
        // What it has sent arrives all the same, perhaps when another has taken its place.
        fibers.freeze()
        const isHeldUp = chance.is(0.5)
        this.#time.after(chance.spread(isHeldUp ? 45_000 : 1_000, 240_000), () => fibers.thaw())
        if (!isHeldUp) {
          latency = chance.spread(1, 90_000)
          break
        }
        return this.#holdUp(chance, () => {
          commitAll()
          this.#later(fibers, 1, () => answerAll(group))
        })
      }
      case undefined:
    }
    const isTorn = group.length > 1 &&
      this.#faults.strikes("groupTorn", key, () => `a commit of ${group.length} appends is torn apart in the middle`)
    if (isTorn) {
      const [committed, torn] = [group.slice(0, group.length >> 1), group.slice(group.length >> 1)]
      this.#time.after(latency, () => {
        for (const one of committed) one.commit()
      })
      return this.#later(fibers, latency + 1, () => {
        for (const one of committed) one.answer()
        failAll(chance.is(0.5) ? "unknown" : "nothing", torn)
      })
    }
    this.#time.after(latency, commitAll)
    this.#later(fibers, latency + 1, () => answerAll(group))
  }

  /** The table of leases is in the store as well: each call goes there and back. */
  readonly carry: Leases.Carry = (node, method, call) =>
    Effect.suspend(() => {
      if (this.isAway()) return lost(unreachable)
      if (method !== "takeOver") return call
      const about = this.#keyOf(`take-over by ${node}`)
      const isLate = this.#faults.strikes(
        "takeOverLate",
        about,
        () => `${node} gives up a look for processes that are dead, which comes later`
      )
      if (isLate) {
        return Effect.andThen(this.#comeLate(call, this.#faults.chance(about).spread(1, 120_000)), lost(broken))
      }
      return Effect.flatMap(call, (answer) => {
        if (!Array.isArray(answer) || answer.length === 0) return Effect.succeed(answer)
        const isLost = this.#faults.strikes("takeOverAnswerLost", about, () => `${node} takes over, and is not told`)
        return isLost ? lost(broken) : Effect.succeed(answer)
      })
    })

  /** It waits on its way for as long as nobody reaches the store. */
  #comeLate(call: Effect.Effect<unknown, LeaseUnknown>, millis: number): Effect.Effect<unknown> {
    return Effect.sleep(millis).pipe(
      Effect.andThen(Effect.suspend(() => Effect.sleep(Math.max(0, this.awayUntil - this.#time.now)))),
      Effect.andThen(call),
      Effect.ignore,
      Effect.forkDetach
    )
  }

  /** The worst moment is while the other one has begun to go on with everything, and has not come to this yet. */
  #holdUp(chance: Chance, arrive: () => void): void {
    let isOver = false
    const once = () => {
      if (isOver) return
      isOver = true
      arrive()
    }
    const late = chance.is(0.5) ? chance.between(0, 40) : chance.spread(40, 10_000)
    this.#heldUp.push(() => this.#time.after(late, once))
    this.#time.after(heldUpMillisMax, once)
  }

  /** A process begins to go on with what another had. */
  takenOver(): void {
    for (const arrive of this.#heldUp.splice(0)) arrive()
  }

  /** From now on nothing takes long. */
  calm(): void {
    this.awayUntil = 0
    this.takenOver()
  }

  #later(fibers: Fibers, millis: number, run: () => void): void {
    fibers.after(millis, run)
  }

  isAway(): boolean {
    return this.#time.now < this.awayUntil
  }

  claimantOf(stream: string): string | undefined {
    return Effect.runSync(this.log.streamHead(stream)).owner
  }

  /** The same thing may be tried again, and then it is another chance. */
  #keyOf(about: string): string {
    const count = (this.#counts.get(about) ?? 0) + 1
    this.#counts.set(about, count)
    return `${about} #${count}`
  }
}

/** After so long what is on its way arrives, also where nobody takes over. */
const heldUpMillisMax = 90_000

const unreachable = "the store cannot be reached"
const broken = "the connection was lost"

const lost = (because: string) => Effect.fail(new LeaseUnknown({ because }))

const failure = (method: string, because: string, outcome: "nothing" | "unknown") =>
  Exit.fail(new EventLogError({ method, cause: new Error(because), outcome }))

const aboutAppend = ([first]: ReadonlyArray<StreamAppend>): string => `${first?.stream}@${String(first?.expected)}`

/** From the call to the commit, in milliseconds. */
const latencyOf = (chance: Chance): number => chance.between(0, 3)

const fateText = (kind: (typeof commitFates)[number], name: string, about: string, size: number): string => {
  const what = size === 1 ? `the append ${about}` : `the append ${about} and ${size - 1} more`
  switch (kind) {
    case "crashBeforeCommit":
      return `${name} dies before ${what} is committed`
    case "crashAfterCommit":
      return `${name} dies after ${what} is committed and before it hears so`
    case "appendRefused":
      return `${what} fails, and nothing is committed`
    case "appendAnswerLost":
      return `${what} is committed, but the answer is lost`
    case "appendLate":
      return `${what} is given up, but committed later`
    case "appendGone":
      return `${what} is lost, and nobody knows`
    case "appendSlow":
      return `${what} is slow`
    case "freezeAtCommit":
      return `${name} stands still while ${what} is on its way`
  }
}

export type { LoggedEvent }
