/** given(events).when(command).thenRecords(events): how the tests of the rules speak. */
import { assert } from "@effect/vitest"
import { Result } from "effect"
import * as Directive from "../../src/actors/Directive.ts"
import type { DirectiveAnswer, DirectiveCommand, Rejection } from "../../src/actors/DirectiveCommand.ts"
import type { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { context, stream } from "./directive.ts"

/** Prompts have tests of their own: here every prompt is the same. */
const promptless = (event: DirectiveEvent): DirectiveEvent =>
  event._tag === "TaskCreated" ? { ...event, plan: "" } : event

export const given = (...events: ReadonlyArray<DirectiveEvent>) => ({
  when: (command: DirectiveCommand, options?: Partial<Directive.Context> & { readonly commandId?: string }) => {
    const state = events.reduce(Directive.evolve, Directive.empty(stream))
    const outcome = Directive.decide(state, command, { ...context, ...options }, options?.commandId)
    const decision = () => Result.getOrThrow(outcome)
    return {
      thenRecords: (...expected: ReadonlyArray<DirectiveEvent>) =>
        assert.deepStrictEqual(decision().events.map(promptless), expected.map(promptless)),
      thenAnswers: (expected: Partial<DirectiveAnswer>) => {
        const { answer } = decision()
        assert.deepStrictEqual({ ...answer, ...expected }, answer)
      },
      thenRejects: (expected: Rejection) => {
        assert.isTrue(Result.isFailure(outcome), "it was not rejected")
        assert.deepStrictEqual(Result.merge(outcome), expected)
      }
    }
  }
})
