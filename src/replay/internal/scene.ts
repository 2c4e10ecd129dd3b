/** What the sentences of `Why.ts` are about, looked up once. */
import { DateTime } from "effect"
import type * as Directive from "../../actors/Directive.ts"
import type { StepId } from "../../events/Ids.ts"
import { quoted } from "./text.ts"

/** What has to be known of a daemon. `free` is how many tasks more it can take. */
export interface Daemon {
  readonly daemonId: string
  readonly hostname: string
  readonly status: "connected" | "suspect" | "lost"
  readonly free: number
}

export interface Scene {
  readonly state: Directive.State
  readonly steps: ReadonlyArray<Directive.Step>
  readonly daemons: ReadonlyArray<Daemon>
  readonly now: number
  /** The unfinished steps of the lowest orderIndex that has any: those over it wait for them. */
  readonly front: ReadonlyArray<Directive.Step>
  /** Failed steps that a pending step waits for in the end, over however many others. */
  readonly blockers: ReadonlyMap<StepId, ReadonlyArray<Directive.Step>>
  /** Tasks that nothing but a daemon is missing for. */
  readonly canGoOut: ReadonlySet<string>
}

export const nameCharsMax = 80

export const isFinished = (step: Directive.Step): boolean => step.status === "completed" || step.status === "skipped"
export const named = (step: Directive.Step): string => quoted(step.name, nameCharsMax)
export const withStatus = (step: Directive.Step): string => `${named(step)} (${step.status})`
export const isoTime = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

export const isOverFront = ({ front }: Scene, step: Directive.Step): boolean =>
  front[0] !== undefined && step.orderIndex > front[0].orderIndex
