/** What people do in a run, where a user of the simulator says it: directives of their own, and what is asked of them. */
import type { DirectiveCommand, NewStep } from "../actors/DirectiveCommand.ts"
import type { State, Step } from "../actors/DirectiveState.ts"
import type { Chance } from "./internal/chance.ts"

/** A directive as somebody makes it. */
export interface NewDirective {
  readonly title: string
  readonly goal: string
  /** Without one there is nothing to merge, and no pull request. */
  readonly repositoryUrl?: string
  readonly memoryEnabled?: boolean
  /** With steps nothing is planned, as in a directive file. */
  readonly steps?: ReadonlyArray<NewStep>
}

/** Makes each directive of a run; `index` counts from 0. May draw from `chance`, and from nothing else. */
export type MakeDirective = (index: number, chance: Chance) => NewDirective

/** A directive at the moment at which somebody looks at it. */
export interface Situation {
  readonly state: State
  /** In the order in which they were added. */
  readonly steps: ReadonlyArray<Step>
  /** Drawn for this one time; the same in every run of the seed. */
  readonly chance: Chance
}

/** Something that people or programs do again and again, beside what the profile has. Shrinking leaves it out by its key. */
export interface Operation {
  /** What it is called in keys and stories. No two of a run have the same name, nor that of one of a profile. */
  readonly name: string
  /** How often, in a virtual hour and for each directive. */
  readonly rate: number
  /** What is asked of the directive then: nothing, if this is undefined. */
  readonly command: (situation: Situation) => DirectiveCommand | undefined
}
