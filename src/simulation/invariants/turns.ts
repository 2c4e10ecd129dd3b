/**
 * Slots go round, from the events alone, and only while nothing goes wrong: an actor that starts anew goes to the back of
 * the line. It does not say who is first, nor that anybody gets a slot at all: that is invariant 9.
 */
import { waitingTasks } from "../../actors/Directive.ts"
import type { State } from "../../actors/DirectiveState.ts"
import type { DirectiveEvent } from "../../events/DirectiveEvent.ts"
import type { DirectiveId } from "../../events/Ids.ts"
import type { Invariant } from "../Invariant.ts"
import { isUndisturbed } from "../Profile.ts"

/** The turn of somebody who was in the line before, and what was on its way to the log when it was joined. */
const turnsMax = 2
/** For processes that come up anew, and for leases. */
const settledAfterMillis = 60_000

/** After these, a directive may have left the line, and come back at its end. */
const leaving: ReadonlySet<string> = new Set<DirectiveEvent["_tag"]>([
  "TaskHandedOver",
  "HandOverFailed",
  "TaskInterrupted",
  "DirectivePaused",
  "DirectiveIdled",
  "DirectiveStalled",
  "DirectiveArchived",
  "StepAdded"
])

export const turns: Invariant = {
  name: "turns",
  says: "No directive waits for a slot while another of its owner gets one again and again.",
  make: ({ calmSince, clock, ledger, now, profile, violated }) => {
    const isCalm = isUndisturbed(profile)
    /** How often others have had slots since a directive waits. */
    const passed = new Map<DirectiveId, Map<DirectiveId, number>>()

    const waits = (state: State): boolean => {
      const [first] = waitingTasks(state)
      return first !== undefined && first.exclusions.every(({ until }) => until < clock() - settledAfterMillis)
    }

    return {
      committed: (events) => {
        const calm = isCalm ? -Infinity : calmSince()
        if (calm === undefined || now() - calm < settledAfterMillis) return
        const [first] = events
        if (first === undefined || !first.stream.startsWith("directive-")) return
        const directiveId = first.stream.slice("directive-".length) as DirectiveId
        if (events.some(({ event }) => leaving.has(event._tag))) passed.delete(directiveId)
        if (!events.some(({ event }) => event._tag === "TaskHandedOver")) return
        const { ownerId, title } = ledger.directives.get(directiveId)!
        for (const other of ledger.directives.values()) {
          if (other.id === directiveId || other.ownerId !== ownerId) continue
          if (!waits(other)) {
            passed.delete(other.id!)
            continue
          }
          const turns = passed.get(other.id!) ?? new Map<DirectiveId, number>()
          passed.set(other.id!, turns)
          const count = (turns.get(directiveId) ?? 0) + 1
          turns.set(directiveId, count)
          if (count > turnsMax) {
            violated(`a slot for ${other.title}, which waits`, `turn ${count} of ${title} meanwhile`)
          }
        }
      }
    }
  }
}
