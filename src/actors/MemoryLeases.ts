/**
 * Leases by a table in this process, with the promises of the one in PostgreSQL: for tests and simulations in which several
 * runtimes share a log in memory.
 */
import { Clock, Effect, Latch, Layer } from "effect"
import { EventLog } from "../events/EventLog.ts"
import type { OwnerId } from "../events/Ids.ts"
import { hold, type Table } from "./internal/holder.ts"
import { isDead } from "./internal/validity.ts"
import { Leases, LeaseTimes, LeaseUnknown, type Location, NodeNameTaken } from "./Leases.ts"

interface Row {
  url: string | undefined
  readonly epoch: number
  renewals: number
  renewedAt: number
  isConnected: boolean
  stopped: boolean
}

export interface LeaseTable {
  readonly rows: Map<string, Row>
  readonly homes: Map<OwnerId, string>
  /** By the name of a process: while it is closed, that process does not reach the table. */
  readonly ways: Map<string, Latch.Latch>
  /** How calls get there and back, where not all of them do. */
  readonly carry?: Carry
}

export type Method = "renew" | "takeOver" | "owners" | "take"

export type Carry = <A>(
  node: string,
  method: Method,
  call: Effect.Effect<A, LeaseUnknown>
) => Effect.Effect<A, LeaseUnknown>

export const makeTable = (carry?: Carry): LeaseTable => ({
  rows: new Map(),
  homes: new Map(),
  ways: new Map(),
  ...(carry === undefined ? {} : { carry })
})

/** The way of a process to the table. */
export const wayOf = ({ ways }: LeaseTable, node: string): Latch.Latch => {
  const way = ways.get(node) ?? Latch.makeUnsafe(true)
  ways.set(node, way)
  return way
}

/** The process is gone as if it had been killed: its connection is closed, and it says nothing any more. */
export const kill = (table: LeaseTable, node: string): void => {
  const row = table.rows.get(node)
  if (row !== undefined) row.isConnected = false
}

export const streamOf = (node: string): string => `node-${node}`

/** The leases of one process. Those of one table need one log. When the scope closes, it has stopped. */
export const layer = (table: LeaseTable, { node }: { readonly node: string }) =>
  Layer.effect(
    Leases,
    Effect.gen(function*() {
      const { homes, rows } = table
      const log = yield* EventLog
      const times = yield* LeaseTimes
      const fail = () => new LeaseUnknown({ because: "the log cannot be used" })
      const claim = (name: string) =>
        Effect.map(Effect.mapError(log.claim([streamOf(name)], node), fail), ([epoch]) => epoch!)
      const way = wayOf(table, node)
      const carry = <A>(method: Method, call: Effect.Effect<A, LeaseUnknown>) => {
        const arrived = Effect.andThen(way.await, call)
        return table.carry === undefined ? arrived : table.carry(node, method, arrived)
      }

      const before = rows.get(node)
      if (before !== undefined && before.isConnected) return yield* new NodeNameTaken({ node })
      const row: Row = {
        url: undefined,
        epoch: yield* claim(node),
        renewals: 0,
        renewedAt: yield* Clock.currentTimeMillis,
        isConnected: true,
        stopped: false
      }
      rows.set(node, row)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          row.stopped = row.isConnected
          row.isConnected = false
        })
      )
      const isOurs = () => rows.get(node) === row

      const renew = carry(
        "renew",
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (!isOurs()) return false
          row.renewals += 1
          row.renewedAt = now
          return true
        })
      )
      const takeOverAfter = Effect.fnUntraced(function*(renewals: number, judging: boolean) {
        const now = yield* Clock.currentTimeMillis
        const taken: Array<OwnerId> = []
        if (row.renewals !== renewals) return taken
        const judges = judging && now - row.renewedAt <= times.killedMillis
        for (const [name, dead] of rows) {
          const { isConnected, renewedAt, stopped } = dead
          if (!isOurs() || name === node) continue
          if (!isDead({ isConnected, stopped, silentMillis: now - renewedAt }, judges, times)) continue
          rows.delete(name)
          // All or nothing: an owner of nobody who is there would be nobody's for ever.
          yield* Effect.onError(claim(name), () => Effect.sync(() => rows.has(name) || rows.set(name, dead)))
          for (const [ownerId, home] of homes) {
            if (home !== name) continue
            homes.set(ownerId, node)
            taken.push(ownerId)
          }
        }
        return taken
      })
      const takeOver: Table["takeOver"] = (judging) => carry("takeOver", takeOverAfter(row.renewals, judging))
      const owners: Table["owners"] = carry(
        "owners",
        Effect.sync(() => isOurs() ? [...homes].flatMap(([ownerId, home]) => home === node ? [ownerId] : []) : [])
      )
      const advertise: Table["advertise"] = (url) =>
        Effect.sync(() => {
          row.url = url
        })
      const take: Table["take"] = (owners) =>
        carry(
          "take",
          Effect.sync((): ReadonlyMap<OwnerId, Location> => {
            if (!isOurs()) return new Map()
            return new Map(owners.map((ownerId): [OwnerId, Location] => {
              const home = homes.get(ownerId) ?? node
              homes.set(ownerId, home)
              return [
                ownerId,
                home === node ? { _tag: "Here" } : { _tag: "Elsewhere", node: home, url: rows.get(home)?.url }
              ]
            }))
          })
        )
      return yield* hold(
        { node, fence: { stream: streamOf(node), epoch: row.epoch } },
        { renew, takeOver, owners, advertise, take },
        times
      )
    })
  )
