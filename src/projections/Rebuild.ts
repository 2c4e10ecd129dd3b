/** What there is to say about read models that are made anew, or checked, beside the live ones. */

/** How far it is. `target` moves on while others write. */
export interface RebuildProgress {
  readonly version: number
  readonly position: number
  readonly target: number
  readonly eventsPerSecond: number
}

/** Of the rows of a table in any order: equal for equal rows. Digests of two databases have nothing to do with each other. */
export interface TableDigest {
  readonly rows: number
  readonly digest: string
}

export interface TableReport {
  readonly table: string
  /** As the log has it. */
  readonly made: TableDigest
  /** As readers had it at the same position; at another one if that was a different version. */
  readonly live: TableDigest | undefined
}

export interface Difference {
  readonly table: string
  /** How many rows are not the same in both. */
  readonly rows: number
  /** The first of them by id, null where it is missing. */
  readonly first: { readonly id: string; readonly live: unknown; readonly made: unknown }
}

export interface RebuildReport {
  readonly version: number
  /** Where both were compared. */
  readonly position: number
  readonly millis: number
  /** What was live, if anything. It is compared row by row if it was made by the same version. */
  readonly live: { readonly version: number; readonly position: number } | undefined
  readonly tables: ReadonlyArray<TableReport>
  readonly differences: ReadonlyArray<Difference>
}

/** In one line. */
export const summary = ({ differences, live, millis, position, tables, version }: RebuildReport): string => {
  const seconds = Math.max(millis, 1) / 1000
  const rate = `${seconds.toFixed(1)} s, ${Math.round(position / seconds)} events/s`
  const digests = tables.map(({ made, table }) => `${table} ${made.rows} ${made.digest}`).join(", ")
  return `Read models of version ${version} at position ${position} (${rate}): ${digests}; ${
    verdict(version, live?.version, differences)
  }`
}

const verdict = (version: number, live: number | undefined, differences: ReadonlyArray<Difference>): string => {
  if (live === undefined) return "there were none before"
  if (live !== version) return `version ${live} was not compared`
  if (differences.length === 0) return "the live ones are the same"
  const places = differences.map(({ first, rows, table }) => `${table} in ${rows} rows, the first ${first.id}`)
  return `the live ones differ: ${places.join("; ")}`
}
