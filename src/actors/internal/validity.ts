/** How long a lease is valid, and whom others may take for dead: rules, without any clock of their own. */
import type { LeaseTimes } from "../Leases.ts"

/**
 * A moment by two clocks, in milliseconds: one may be set, and the other may stand still while the machine sleeps. Between
 * two moments passed what the one that moved more says.
 */
export interface Moment {
  readonly wall: number
  readonly monotonic: number
}

export const elapsed = (from: Moment, to: Moment): number =>
  Math.max(to.wall - from.wall, to.monotonic - from.monotonic)

export interface Validity {
  /** From when on there was no break in renewing. */
  readonly since: Moment
  /** When the last renewal that came through was sent: the lease counts from before the table knew of it. */
  readonly sent: Moment
  /** Until when the process is known to have tried to renew all the time, and so not to have stood still. */
  readonly tried: Moment
}

export const renewed = (before: Validity | undefined, sent: Moment, times: LeaseTimes): Validity => ({
  since: before === undefined || elapsed(before.sent, sent) > times.killedMillis / 2 ? sent : before.since,
  sent,
  tried: sent
})

/** A renewal did not come through until now. After standing still, that says nothing. */
export const tried = (validity: Validity, now: Moment, times: LeaseTimes): Validity =>
  elapsed(validity.tried, now) < times.ttlMillis ? { ...validity, tried: now } : validity

/**
 * How long nothing was heard of the table although it was asked all the time, in milliseconds. Without end where the process
 * has stood still: others may have taken over long ago.
 */
export const unansweredMillis = (validity: Validity, now: Moment, times: LeaseTimes): number =>
  elapsed(validity.tried, now) < times.ttlMillis ? elapsed(validity.sent, now) : Infinity

/** Nobody takes over before. */
export const isValid = ({ sent }: Validity, now: Moment, times: LeaseTimes): boolean =>
  elapsed(sent, now) < times.killedMillis

/**
 * Whether others may be taken for dead because they did not renew. Whoever could not renew either says nothing about
 * them: after a break, all have the time of a whole lease to come back.
 */
export const mayJudge = (validity: Validity, now: Moment, times: LeaseTimes): boolean =>
  isValid(validity, now, times) && elapsed(validity.since, now) >= times.ttlMillis

/** What the table knows of a process. */
export interface NodeSigns {
  readonly stopped: boolean
  /** It has its connection to the table. */
  readonly isConnected: boolean
  /** Milliseconds since it renewed, by the clock of the table. */
  readonly silentMillis: number
}

export const isDead = (
  { isConnected, silentMillis, stopped }: NodeSigns,
  judging: boolean,
  times: LeaseTimes
): boolean =>
  stopped ||
  (judging && (silentMillis > times.ttlMillis || (!isConnected && silentMillis > times.killedMillis)))
