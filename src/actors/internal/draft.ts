/** What a decision about a directive is made with: the bounds, the time, and the events so far. */
import type { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import { derivedId } from "../../events/Ids.ts"
import type { State } from "../DirectiveState.ts"
import { evolve } from "./evolve.ts"

/** The bounds that a host may set. Times in milliseconds. */
export interface Policy {
  /** How often a completion is tried before the directive asks for attention. */
  readonly completionAttemptsMax: number
  /** The wait before the second attempt; it doubles with each. */
  readonly completionDelayMillis: number
  /** How often a task is handed over before it fails. */
  readonly handOversMax: number
  /** How long a daemon that failed to take a task is not offered it again. */
  readonly exclusionMillis: number
}

export const defaultPolicy: Policy = {
  completionAttemptsMax: 3,
  completionDelayMillis: 10_000,
  handOversMax: 3,
  exclusionMillis: 30_000
}

export interface Context {
  /** Milliseconds since 1970, UTC. */
  readonly now: number
  readonly policy: Policy
}

/** A decision in the making: each event is applied before the next is thought about. */
export class Draft {
  state: State
  readonly context: Context
  readonly events: Array<DirectiveEvent> = []

  constructor(state: State, context: Context) {
    this.state = state
    this.context = context
  }

  record(event: DirectiveEvent): void {
    this.events.push(event)
    this.state = evolve(this.state, event)
  }

  /** An id for what the next event introduces. */
  nextId(): string {
    return derivedId(this.state.stream, this.state.version + 1)
  }
}
