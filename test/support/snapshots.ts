/** Snapshots under the eyes and the hand of a test. */
import { Context, Effect, Latch, Layer, Queue } from "effect"
import type { StateCodec } from "../../src/actors/internal/codec.ts"
import { run } from "../../src/actors/internal/loop.ts"
import { make, refTo } from "../../src/actors/internal/mailbox.ts"
import { Snapshots, SnapshotsError } from "../../src/events/Snapshots.ts"
import { type Notebook, notebook, type NotebookCommand, type Notes, type Refused } from "./notebook.ts"

export class Watch extends Context.Service<Watch, {
  /** The versions that were saved, as they are. */
  readonly saved: Queue.Queue<number>
  /** The versions that somebody began to save. */
  readonly begun: Array<number>
  /** Saving waits while it is closed. */
  readonly gate: Latch.Latch
  /** Whether they can be reached. */
  works: boolean
}>()("test/Watch") {}

const failure = (method: string) => new SnapshotsError({ method, cause: new Error("the disk is full") })

/** On top of snapshots that the test has already. */
export const layerWatched = Layer.effect(
  Snapshots,
  Effect.gen(function*() {
    const snapshots = yield* Snapshots
    const watch = yield* Watch
    const whileItWorks = <A>(method: string, effect: Effect.Effect<A, SnapshotsError>) =>
      Effect.suspend(() => watch.works ? effect : Effect.fail(failure(method)))
    return {
      ...snapshots,
      save: (snapshot) =>
        Effect.gen(function*() {
          watch.begun.push(snapshot.version)
          yield* watch.gate.await
          yield* whileItWorks("save", snapshots.save(snapshot))
          yield* Queue.offer(watch.saved, snapshot.version)
        }),
      load: (stream) => whileItWorks("load", snapshots.load(stream))
    }
  })
).pipe(
  Layer.provideMerge(Layer.effect(
    Watch,
    Effect.map(Queue.unbounded<number>(), (saved) => ({ saved, begun: [], gate: Latch.makeUnsafe(true), works: true }))
  ))
)

export const notesCodec: StateCodec<Notes> = {
  schema: "notes",
  encode: (notes) => [JSON.stringify(notes)],
  decode: (text) => {
    const { dueAt, texts } = JSON.parse(text) as Notes
    return { texts, dueAt }
  }
}

/** A notebook that runs alone, with snapshots, and how many events it folded to come up. */
export const openNotebook = Effect.fnUntraced(function*(stream: string, options: Partial<Notebook> = {}) {
  let folded = 0
  let recovered = 0
  const plain = notebook()
  const behaviour = notebook([], {
    snapshots: notesCodec,
    evolve: (notes, event) => {
      folded += 1
      return plain.evolve(notes, event)
    },
    recovered: () => {
      recovered = folded
      return []
    },
    ...options
  })
  const mailbox = yield* make<NotebookCommand, number, Refused>()
  const fiber = yield* Effect.forkScoped(Effect.scoped(run(stream, behaviour, mailbox)))
  return { ...refTo(stream, mailbox), fiber, folded: () => recovered }
})
