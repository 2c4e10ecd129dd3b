/**
 * The store that all simulated processes share: the event log in memory and the snapshots, and what a process sees of them
 * over a connection of its own. What that does to appends is in `commits.ts`, and when there is no way, in `way.ts`.
 */
import { Effect, Exit, Option, Stream } from "effect"
import * as Leases from "../../actors/MemoryLeases.ts"
import { EventLog, type EventLogError, type RecordedEvent, type StreamAppend } from "../../events/EventLog.ts"
import type { Snapshot, Snapshots, SnapshotsError } from "../../events/Snapshots.ts"
import { Commits, type Process } from "./commits.ts"
import type { Fibers } from "./fibers.ts"
import { failure, latencyOf, unreachable, type Way } from "./way.ts"

type Log = EventLog["Service"]

export class Store {
  readonly log: Log
  readonly events: Array<RecordedEvent> = []
  readonly #snapshots = new Map<string, Snapshot>()
  readonly #way: Way
  readonly #onCommit: (events: ReadonlyArray<RecordedEvent>, node: string) => void
  readonly #onSnapshot: (snapshot: Snapshot) => void

  constructor(
    way: Way,
    onCommit: (events: ReadonlyArray<RecordedEvent>, node: string) => void,
    onSnapshot: (snapshot: Snapshot) => void
  ) {
    this.#way = way
    this.#onCommit = onCommit
    this.#onSnapshot = onSnapshot
    this.log = Effect.runSync(EventLog.pipe(Effect.provide(EventLog.layerMemory)))
  }

  connect(process: Process): { readonly log: Log; readonly snapshots: Snapshots } {
    return { log: this.#logOf(process), snapshots: this.#snapshotsOf(process.fibers) }
  }

  claimantOf(stream: string): string | undefined {
    return Effect.runSync(this.log.streamHead(stream)).owner
  }

  #logOf(process: Process): Log {
    const { log } = this
    const commits = new Commits(process, this.#way)
    const reading = <A, E>(method: string, about: string, read: Effect.Effect<A, E>) =>
      this.#reading(process.fibers, method, about, read)
    const streaming = <A, E>(method: string, about: string, read: Stream.Stream<A, E>) =>
      Stream.unwrap(reading(method, about, Effect.succeed(read)))
    return {
      append: (appends, about) =>
        commits.add("append", aboutAppend(appends), () => {
          const exit = Effect.runSyncExit(log.append(appends, about))
          if (Exit.isSuccess(exit) && exit.value.length > 0) {
            this.events.push(...exit.value)
            this.#onCommit(exit.value, process.name)
          }
          return exit
        }),
      claim: (streams, owner, fence) => {
        const [first = ""] = streams
        const claim = log.claim(streams, owner, fence)
        // The fence of a process goes with its row in the table of leases: at once, or not at all.
        if (first.startsWith(Leases.streamOf(""))) return reading("claim", first, claim)
        return commits.add("claim", `claim of ${first}`, () => Effect.runSyncExit(claim))
      },
      read: (stream, options) => streaming("read", stream, log.read(stream, options)),
      readAll: (options) => streaming("read", "all", log.readAll(options)),
      subscribe: (options) => streaming("subscribe", "all", log.subscribe(options)),
      findAnswer: (stream, commandId) => reading("find an answer in", stream, log.findAnswer(stream, commandId)),
      streamHead: (stream) => reading("find the head of", stream, log.streamHead(stream)),
      truncate: (stream, before) => reading("truncate", stream, log.truncate(stream, before)),
      head: reading("find the head of", "all", log.head)
    }
  }

  #reading<A, E>(
    fibers: Fibers,
    method: string,
    about: string,
    read: Effect.Effect<A, E>
  ): Effect.Effect<A, E | EventLogError> {
    const { faults } = this.#way
    return Effect.callback((resume) => {
      const key = this.#way.keyOf(`${method} ${about}`)
      const latency = latencyOf(faults.chance(`latency ${key}`))
      const isRefused = this.#way.isClosed() ||
        faults.strikes("readRefused", key, () => `the store refuses to ${method} ${about}`)
      return Effect.sync(
        fibers.after(latency, () => resume(isRefused ? failure(method, unreachable, "nothing") : read))
      )
    })
  }

  #snapshotsOf(fibers: Fibers): Snapshots {
    return {
      save: (snapshot) =>
        Effect.callback((resume) => {
          const about = `${snapshot.stream}@${snapshot.version}`
          // Nobody waits for it, so it may take long.
          const latency = this.#way.faults.chance(`latency of ${about}`).spread(1, 5_000)
          return Effect.sync(fibers.after(latency, () => {
            this.#onSnapshot(snapshot)
            this.#keep(snapshot, about)
            resume(Effect.void)
          }))
        }),
      load: (stream) => Effect.sync((): Option.Option<Snapshot> => Option.fromUndefinedOr(this.#snapshots.get(stream))),
      drop: (stream): Effect.Effect<void, SnapshotsError> =>
        Effect.sync(() => stream === undefined ? this.#snapshots.clear() : void this.#snapshots.delete(stream))
    }
  }

  #keep(snapshot: Snapshot, about: string): void {
    const { faults } = this.#way
    if (faults.strikes("snapshotLost", about, () => `the snapshot ${about} is lost`)) return
    const before = this.#snapshots.get(snapshot.stream)
    const isTorn = before !== undefined &&
      faults.strikes("snapshotTorn", about, () => `the snapshot ${about} is kept with the state of an earlier one`)
    this.#snapshots.set(snapshot.stream, isTorn ? { ...snapshot, state: before.state } : snapshot)
  }
}

const aboutAppend = ([first]: ReadonlyArray<StreamAppend>): string => `${first?.stream}@${String(first?.expected)}`
