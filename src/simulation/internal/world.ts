/** Everything that a run consists of, made from its seed. */
import * as MemoryLeases from "../../actors/MemoryLeases.ts"
import type { LoggedEvent } from "../../events/Unreadable.ts"
import { type Agent, agentOf } from "../Agent.ts"
import { isAtRest } from "../invariants/liveness.ts"
import type { Profile } from "../Profile.ts"
import type { MakeDirective, Operation } from "../Users.ts"
import type { Checks } from "./checks.ts"
import { Client } from "./client.ts"
import { Cluster } from "./cluster.ts"
import { SimulatedDaemon } from "./daemon.ts"
import { Faults } from "./faults.ts"
import { carryOver } from "./leaseCalls.ts"
import { Ledger } from "./ledger.ts"
import { Store } from "./store.ts"
import * as Subscriber from "./subscriber.ts"
import { Time } from "./time.ts"
import * as Users from "./users.ts"
import { Way } from "./way.ts"

export interface WorldOptions {
  readonly seed: number
  readonly profile: Profile
  readonly only: ReadonlySet<string> | undefined
  readonly agent: Agent | undefined
  readonly directive: MakeDirective | undefined
  readonly operations: ReadonlyArray<Operation>
  readonly checks: (world: World) => Checks
}

export class World {
  readonly seed: number
  readonly profile: Profile
  readonly time: Time
  readonly faults: Faults
  readonly ledger = new Ledger()
  /** How processes get to the store. */
  readonly way: Way
  readonly store: Store
  readonly checks: Checks
  /** Which process has whom, where there are several. */
  readonly leases: MemoryLeases.LeaseTable | undefined
  readonly cluster: Cluster
  readonly client: Client
  readonly agent: ReturnType<typeof agentOf>
  readonly directive: MakeDirective | undefined
  /** What a user of the simulator has people do, beside what the profile says. */
  readonly operations: ReadonlyArray<Operation>
  readonly daemons: ReadonlyArray<SimulatedDaemon>
  readonly owned: ReadonlyArray<Users.Owned>
  /** What somebody has got who follows the log. */
  readonly seen: ReadonlyArray<LoggedEvent>
  /** A healthy system leaves reconciliation nothing to do, so in every other run there is none. */
  readonly reconcileMillis: number
  /** Since when nothing goes wrong any more, in virtual milliseconds. */
  calmSince: number | undefined
  /** How far all clocks have jumped ahead. */
  clockAhead = 0

  constructor({ agent, checks, directive, only, operations, profile, seed }: WorldOptions) {
    this.seed = seed
    this.profile = profile
    this.time = new Time(seed)
    this.faults = new Faults(seed, this.time, profile, only)
    this.reconcileMillis = this.faults.chance("reconcile").is(0.5) ? 15_000 : never
    this.directive = directive
    this.operations = operations
    this.agent = agentOf(profile, this.faults, agent)
    this.way = new Way(this.time, this.faults)
    this.store = new Store(
      this.way,
      (events, node) => this.checks.onCommit(events, node),
      (snapshot) => this.checks.onSnapshot(snapshot)
    )
    this.checks = checks(this)
    // Where processes stand still there has to be another to take over from them.
    this.leases = (profile.faults.freeze ?? 0) > 0 ? MemoryLeases.makeTable(carryOver(this.way)) : undefined
    this.client = new Client(this)
    this.cluster = new Cluster(this, this.leases === undefined ? ["node-1"] : ["node-1", "node-2"])
    this.daemons = Array.from(
      { length: profile.daemons },
      (_, index) => new SimulatedDaemon(this, index, Users.ownerOf(this, index), this.#placesOf(index))
    )
    this.owned = Users.begin(this)
    this.seen = Subscriber.begin(this)
    this.#disturb()
  }

  /** Each owner's first daemon has room for some; another may be there only to look on. */
  #placesOf(index: number): number {
    const chance = this.faults.chance(`places ${index}`)
    return index < this.profile.owners ? chance.between(2, 4) : chance.is(0.1) ? 0 : chance.between(1, 3)
  }

  /** What goes wrong at any time. */
  #disturb(): void {
    const { faults, time } = this
    const rate = this.profile.faults
    const at = (kind: keyof typeof rate, about: string, run: (key: string) => void) => {
      for (const [count, when] of faults.times(rate[kind] ?? 0, `${kind} ${about}`).entries()) {
        time.after(when, () => run(`${kind} ${about} ${count}`))
      }
    }
    at("outage", "store", (key) => {
      const millis = faults.chance(key).spread(500, 180_000)
      if (!faults.happens("outage", key, () => `nobody reaches the store for ${seconds(millis)}`)) return
      this.way.closedUntil = Math.max(this.way.closedUntil, time.now + millis)
    })
    at("crash", "runtime", (key) => {
      if (faults.happens("crash", key, () => "the runtime dies")) this.cluster.crash(faults.chance(key))
    })
    at("freeze", "runtime", (key) => {
      if (faults.happens("freeze", key, () => "the runtime stands still")) this.cluster.freeze(faults.chance(key))
    })
    at("clockJump", "all", (key) => {
      const millis = faults.chance(key).spread(1_000, 600_000)
      if (!faults.happens("clockJump", key, () => `the clocks jump ${seconds(millis)} ahead`)) return
      this.clockAhead += millis
      for (const { fibers } of this.cluster.machines) fibers.ahead = this.clockAhead
    })
    for (const [index, daemon] of this.daemons.entries()) {
      at("disconnect", daemon.name, (key) => {
        if (faults.happens("disconnect", key, () => `the connection of ${daemon.name} breaks`)) daemon.cut()
      })
      at("halfOpen", daemon.name, (key) => {
        const millis = faults.chance(key).spread(100, 100_000)
        const text = `the connection of ${daemon.name} breaks, which it notices after ${seconds(millis)}`
        if (faults.happens("halfOpen", key, () => text)) daemon.breakSilently(millis)
      })
      at("daemonDeath", daemon.name, (key) => {
        const millis = faults.chance(key).spread(1_000, 900_000)
        // Each owner's first one comes back, since something has to go on.
        const isGone = index >= this.profile.owners &&
          faults.strikes("daemonGone", key, () => `${daemon.name} dies with all its agents, and never comes back`)
        if (isGone) return daemon.die(Infinity)
        const text = `${daemon.name} dies with all its agents, for ${seconds(millis)}`
        if (faults.happens("daemonDeath", key, () => text)) daemon.die(millis)
      })
    }
  }

  /** From now on nothing goes wrong, and whoever was away is back. */
  calm(): void {
    this.calmSince = this.time.now
    this.faults.stop()
    this.way.calm()
    this.cluster.calm()
    for (const daemon of this.daemons) daemon.calm()
  }

  /** Whether nothing is under way any more. */
  isSettled(): boolean {
    if (this.client.waiting > 0) return false
    for (const state of this.ledger.directives.values()) {
      if (!isAtRest(state)) return false
    }
    return true
  }
}

/** Longer than any run. */
const never = 86_400_000

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
