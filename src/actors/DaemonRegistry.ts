/**
 * The rules of an owner's daemons: who is connected, suspect, lost (spec section 8). Pure.
 *
 * A daemon whose connection ends is suspect: it gets nothing new and keeps what it has. Only when it stays away for
 * the grace period is it lost, and its tasks go elsewhere. What each daemon is doing is not here: tasks are facts of
 * their directives. `DaemonRegistryActor.ts` owns the clock and the log.
 */
import { Result, Schema } from "effect"
import type { DaemonEvent } from "../events/DaemonEvent.ts"
import { DaemonId } from "../events/Ids.ts"

export interface Policy {
  /** How long a daemon may be away before its tasks go to others. */
  readonly graceMillis: number
}

export const defaultPolicy: Policy = { graceMillis: 120_000 }

export interface Daemon {
  readonly id: DaemonId
  readonly machineId: string
  readonly hostname: string
  readonly maxConcurrentTasks: number
  readonly status: "connected" | "suspect" | "lost"
  /** When a suspect daemon is lost, in milliseconds since 1970. */
  readonly lostAt: number | undefined
}

export interface State {
  readonly policy: Policy
  readonly daemons: ReadonlyMap<DaemonId, Daemon>
}

export const empty = (policy: Policy): State => ({ policy, daemons: new Map() })

export const Command = Schema.TaggedUnion({
  Connect: {
    daemonId: DaemonId,
    machineId: Schema.String,
    hostname: Schema.String,
    maxConcurrentTasks: Schema.Natural
  },
  Disconnect: { daemonId: DaemonId, reason: Schema.String },
  /** The server starts anew: whoever was not lost before gets the whole grace period to come back. */
  AwaitDaemons: { here: Schema.Array(DaemonId) },
  Wake: {}
})
export type Command = typeof Command.Type

export interface Decision {
  readonly events: ReadonlyArray<DaemonEvent>
  readonly state: State
  readonly answer: Answer
}

export interface Answer {
  /** The daemon was here before, and may have tasks from then. */
  readonly wasKnown: boolean
}

export const decide = (state: State, command: Command, now: number): Result.Result<Decision> => {
  const events = eventsOf(state, command, now)
  const wasKnown = "daemonId" in command && state.daemons.has(command.daemonId)
  return Result.succeed({ events, state: events.reduce(evolve, state), answer: { wasKnown } })
}

const eventsOf = (state: State, command: Command, now: number): ReadonlyArray<DaemonEvent> => {
  switch (command._tag) {
    case "Connect": {
      const { _tag, ...daemon } = command
      return [{ _tag: "DaemonConnected", ...daemon }]
    }
    case "Disconnect": {
      const { daemonId, reason } = command
      // A daemon that is suspect or lost already cannot be away more than it is.
      if (state.daemons.get(daemonId)?.status !== "connected") return []
      return [{ _tag: "DaemonSuspected", daemonId, reason, lostAt: now + state.policy.graceMillis }]
    }
    case "AwaitDaemons":
      return [...state.daemons.values()]
        .filter(({ id, status }) => status !== "lost" && !command.here.includes(id))
        .map(({ id }) => ({
          _tag: "DaemonSuspected",
          daemonId: id,
          reason: "the server started anew",
          lostAt: now + state.policy.graceMillis
        }))
    case "Wake":
      return [...state.daemons.values()]
        .filter(({ lostAt, status }) => status === "suspect" && lostAt! <= now)
        .map(({ id }) => ({ _tag: "DaemonLost", daemonId: id }))
  }
}

export const evolve = (state: State, event: DaemonEvent): State => {
  switch (event._tag) {
    case "DaemonConnected": {
      const { _tag, daemonId, ...rest } = event
      return withDaemon(state, { id: daemonId, ...rest, status: "connected", lostAt: undefined })
    }
    case "DaemonSuspected":
      return withDaemon(state, { ...state.daemons.get(event.daemonId)!, status: "suspect", lostAt: event.lostAt })
    case "DaemonLost":
      return withDaemon(state, { ...state.daemons.get(event.daemonId)!, status: "lost", lostAt: undefined })
  }
}

const withDaemon = (state: State, daemon: Daemon): State => ({
  ...state,
  daemons: new Map(state.daemons).set(daemon.id, daemon)
})

/** When the next suspect daemon is lost. */
export const dueAt = (state: State): number | undefined => {
  let due: number | undefined
  for (const { lostAt } of state.daemons.values()) {
    if (lostAt !== undefined && (due === undefined || lostAt < due)) due = lostAt
  }
  return due
}
