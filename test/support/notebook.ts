/** An actor for tests of the machinery: it writes down what it is told, and can be made to break. */
import { Clock, Effect, Result, Schema } from "effect"
import type { Behaviour } from "../../src/actors/internal/loop.ts"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import type { RecordedEvent } from "../../src/events/EventLog.ts"

export interface Notes {
  readonly texts: ReadonlyArray<string>
  readonly dueAt: number | undefined
}

export const NotebookCommand = Schema.TaggedUnion({
  Write: { texts: Schema.Array(Schema.String) },
  /** Writes "reminded" at a time, in milliseconds since 1970. */
  Remind: { at: Schema.Number },
  Refuse: {},
  BreakDeciding: {},
  BreakReacting: {},
  Wake: {}
})
export type NotebookCommand = typeof NotebookCommand.Type

export class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const note = (key: string, value: string): DirectiveEvent => DirectiveEvent.cases.MemorySet.make({ key, value })

const evolve = (notes: Notes, event: DirectiveEvent): Notes => {
  if (event._tag !== "MemorySet") return notes
  if (event.key === "due") return { ...notes, dueAt: Number(event.value) }
  const dueAt = event.value === "reminded" ? undefined : notes.dueAt
  return { texts: [...notes.texts, event.value], dueAt }
}

const eventsOf = (notes: Notes, command: NotebookCommand, now: number): ReadonlyArray<DirectiveEvent> => {
  switch (command._tag) {
    case "Write":
      return command.texts.map((text) => note("text", text))
    case "Remind":
      return [note("due", String(command.at))]
    case "BreakReacting":
      return [note("text", "break")]
    case "BreakDeciding":
      throw new Error("a defect of the rules")
    case "Wake":
      return notes.dueAt !== undefined && notes.dueAt <= now ? [note("text", "reminded")] : []
    case "Refuse":
      return []
  }
}

export type Notebook = Behaviour<Notes, NotebookCommand, DirectiveEvent, number, Refused>

/** The answer is how many texts there are. `reacted` gets the texts whose turn to be carried out has come. */
export const notebook = (reacted: Array<string> = [], options: Partial<Notebook> = {}): Notebook => ({
  empty: () => ({ texts: [], dueAt: undefined }),
  evolve,
  decide: (notes, command, now) => {
    if (command._tag === "Refuse") return Result.fail(new Refused())
    const events = eventsOf(notes, command, now)
    const state = events.reduce(evolve, notes)
    return Result.succeed({ events, state, answer: state.texts.length })
  },
  wake: { _tag: "Wake" },
  dueAt: ({ dueAt }) => dueAt,
  recovered: () => [],
  react: (events) =>
    Effect.flatMap(Clock.currentTimeMillis, () => {
      for (const event of events) {
        if (event._tag !== "MemorySet") continue
        if (event.value === "break") return Effect.die(new Error("a defect of the effects"))
        reacted.push(event.value)
      }
      return Effect.void
    }),
  ...options
})

export const write = (...texts: ReadonlyArray<string>): NotebookCommand => ({ _tag: "Write", texts })

export const textOf = (
  { event }: { readonly event: RecordedEvent["event"] | { readonly _tag: "Unreadable" } }
): string => event._tag === "MemorySet" ? event.value : event._tag
