/**
 * What the appends and claims of one process's connection go through: what waits is committed together, as
 * `events/internal/groupCommit.ts` does, and what can go wrong with a commit does.
 */
import { Effect, type Exit } from "effect"
import type { EventLogError } from "../../events/EventLog.ts"
import type { Chance } from "./chance.ts"
import type { Fibers } from "./fibers.ts"
import { broken, failure, latencyOf, unreachable, type Way } from "./way.ts"

/** How a connection tells its process that it has died. */
export interface Process {
  readonly name: string
  readonly fibers: Fibers
  readonly crash: () => void
}

/** An append or a claim that waits for the next commit. */
interface Waiting {
  readonly about: string
  /** Does it, and says so when told to. */
  readonly commit: () => void
  readonly answer: () => void
  readonly fail: (outcome: "nothing" | "unknown", because: string) => void
  isAbandoned: boolean
}

type Group = ReadonlyArray<Waiting>

const fates = [
  "crashBeforeCommit",
  "crashAfterCommit",
  "appendRefused",
  "appendAnswerLost",
  "appendLate",
  "appendGone",
  "appendSlow",
  "freezeAtCommit"
] as const

export class Commits {
  readonly #process: Process
  readonly #way: Way
  #waiting: Array<Waiting> = []
  #isBusy = false

  constructor(process: Process, way: Way) {
    this.#process = process
    this.#way = way
  }

  /** Does it in the next commit, with all else that waits for that. Who is interrupted before gives it up. */
  add<A, E>(method: string, about: string, attempt: () => Exit.Exit<A, E>): Effect.Effect<A, E | EventLogError> {
    return Effect.callback((resume) => {
      let exit: Exit.Exit<A, E> | undefined
      const one: Waiting = {
        about,
        isAbandoned: false,
        commit: () => {
          exit = attempt()
        },
        answer: () => resume(exit!),
        fail: (outcome, because) => resume(failure(method, because, outcome))
      }
      this.#waiting.push(one)
      this.#kick()
      return Effect.sync(() => {
        one.isAbandoned = true
      })
    })
  }

  #kick(): void {
    if (this.#isBusy || this.#waiting.length === 0) return
    this.#isBusy = true
    // Those who come in the same moment are part of it.
    this.#way.time.after(0, () => {
      const group = this.#waiting.filter(({ isAbandoned }) => !isAbandoned)
      this.#waiting = []
      if (this.#process.fibers.isDead) return
      if (group.length === 0) return this.#done()
      this.#commit(group)
    })
  }

  #done(): void {
    this.#isBusy = false
    this.#kick()
  }

  /** Commits a group in its time, with whatever goes wrong. */
  #commit(group: Group): void {
    const { fibers, name } = this.#process
    const { faults, time } = this.#way
    const first = group[0]!
    const key = this.#way.keyOf(first.about)
    const chance = faults.chance(`latency ${key}`)
    let latency = latencyOf(chance)
    if (this.#way.isClosed()) {
      // A connection that is not made, or one that breaks.
      return this.#later(chance.between(1, 1000), () => this.#failAll(group, "nothing", unreachable))
    }
    switch (faults.oneOf(fates, key, (kind) => fateText(kind, name, first.about, group.length))) {
      case "crashBeforeCommit":
        return this.#process.crash()
      case "crashAfterCommit":
        return void time.after(latency, () => {
          commitAll(group)
          this.#process.crash()
        })
      case "appendRefused":
        return this.#later(latency, () => this.#failAll(group, "nothing", broken))
      case "appendGone":
        return this.#later(latency, () => this.#failAll(group, "unknown", broken))
      case "appendAnswerLost":
        time.after(latency, () => commitAll(group))
        return this.#later(latency + chance.between(0, 2000), () => this.#failAll(group, "unknown", broken))
      case "appendLate":
        this.#later(latency, () => this.#failAll(group, "unknown", broken))
        return void time.after(latency + chance.spread(1, 120_000), () => commitAll(group))
      case "appendSlow":
        latency = chance.spread(50, 20_000)
        break
      case "freezeAtCommit": {
        // What it has sent arrives all the same, perhaps when another has taken its place.
        fibers.freeze()
        const isHeldUp = chance.is(0.5)
        time.after(chance.spread(isHeldUp ? 45_000 : 1_000, 240_000), () => fibers.thaw())
        if (!isHeldUp) {
          latency = chance.spread(1, 90_000)
          break
        }
        return this.#way.holdUp(chance, () => {
          commitAll(group)
          this.#later(1, () => this.#answerAll(group))
        })
      }
      case undefined:
    }
    const isTorn = group.length > 1 &&
      faults.strikes("groupTorn", key, () => `a commit of ${group.length} appends is torn apart in the middle`)
    if (isTorn) return this.#tear(group, latency, chance)
    time.after(latency, () => commitAll(group))
    this.#later(latency + 1, () => this.#answerAll(group))
  }

  /** The first half is committed, and the other is not. */
  #tear(group: Group, latency: number, chance: Chance): void {
    const [committed, torn] = [group.slice(0, group.length >> 1), group.slice(group.length >> 1)]
    this.#way.time.after(latency, () => commitAll(committed))
    this.#later(latency + 1, () => {
      for (const one of committed) one.answer()
      this.#failAll(torn, chance.is(0.5) ? "unknown" : "nothing", broken)
    })
  }

  #answerAll(group: Group): void {
    for (const one of group) one.answer()
    this.#done()
  }

  #failAll(group: Group, outcome: "nothing" | "unknown", because: string): void {
    for (const one of group) one.fail(outcome, because)
    this.#done()
  }

  /** What the process hears, if it still lives then. */
  #later(millis: number, run: () => void): void {
    this.#process.fibers.after(millis, run)
  }
}

/** Whoever has been asked for it does it, whether the process lives on or not. */
const commitAll = (group: Group): void => {
  for (const one of group) one.commit()
}

const fateText = (kind: (typeof fates)[number], name: string, about: string, size: number): string => {
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
