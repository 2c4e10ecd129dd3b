/**
 * What goes wrong and what users do, drawn from the seed. Each has a key that says what it is about, so that a run can be
 * told to leave some of them out, and everything else stays as it was.
 */
import type { FaultKind, OperationKind, Profile } from "../Profile.ts"
import { Chance, hashOf } from "./chance.ts"
import { epoch } from "./fibers.ts"
import type { Time } from "./time.ts"

/** Something that was done to the runtime, or kept from it. */
export interface Happening {
  /** What it is called among those of its seed and profile. */
  readonly key: string
  readonly kind: FaultKind | OperationKind | "create" | "own"
  /** Virtual milliseconds since the run began. */
  readonly at: number
  readonly text: string
}

export class Faults {
  readonly happened: Array<Happening> = []
  readonly notes: Array<{ readonly at: number; readonly text: string }> = []
  readonly #seed: number
  readonly #time: Time
  readonly #profile: Profile
  readonly #only: ReadonlySet<string> | undefined
  #areOver = false

  constructor(seed: number, time: Time, profile: Profile, only: ReadonlySet<string> | undefined) {
    this.#seed = seed
    this.#time = time
    this.#profile = profile
    this.#only = only
  }

  /** From now on everything goes well. */
  stop(): void {
    this.#areOver = true
  }

  get areOver(): boolean {
    return this.#areOver
  }

  chance(about: string): Chance {
    return new Chance(hashOf(this.#seed, about))
  }

  /** Whether this goes wrong with something. */
  strikes(kind: FaultKind, about: string, text: () => string): boolean {
    const probability = this.#profile.faults[kind] ?? 0
    if (probability === 0 || this.#areOver) return false
    const key = `${kind} ${about}`
    return this.chance(key).is(probability) && this.happens(kind, key, text)
  }

  /** At most one of these goes wrong with something. */
  oneOf<const Kind extends FaultKind>(kinds: ReadonlyArray<Kind>, about: string, text: (kind: Kind) => string) {
    if (this.#areOver) return undefined
    let draw: number | undefined
    for (const kind of kinds) {
      const probability = this.#profile.faults[kind] ?? 0
      if (probability === 0) continue
      draw ??= this.chance(about).next()
      if (draw < probability) return this.happens(kind, `${kind} ${about}`, () => text(kind)) ? kind : undefined
      draw -= probability
    }
    return undefined
  }

  /** Whether it happens: unless it is left out. It is part of the story then. */
  happens(kind: Happening["kind"], key: string, text: () => string): boolean {
    if (this.#only?.has(key) === false) return false
    this.happened.push({ key, kind, at: this.#time.now, text: text() })
    return true
  }

  /** Something that follows from what happened: part of the story, and nothing that could be left out. */
  note(text: string): void {
    this.notes.push({ at: this.#time.now, text })
  }

  /** Times at which something happens that does so often within an hour, over the time that things go wrong. */
  times(rate: number, about: string): ReadonlyArray<number> {
    const chance = this.chance(`times ${about}`)
    const end = this.#profile.minutes * 60_000
    const times: Array<number> = []
    if (rate === 0) return times
    const wait = () => Math.ceil(-Math.log(1 - chance.next()) * 3_600_000 / rate)
    for (let at = wait(); at < end; at += wait()) times.push(at)
    return times
  }
}

/** A virtual time as people read it. */
export const timeText = (at: number): string => new Date(epoch + at).toISOString().slice(11, 23)
