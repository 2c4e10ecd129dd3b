/** Figures of a benchmark: ours beside somebody else's, from rounds in turn. */
import { Effect } from "effect"

export interface Figure {
  readonly name: string
  readonly against: string
  /** One value a round; more is better. */
  readonly ours: ReadonlyArray<number>
  readonly theirs: ReadonlyArray<number>
}

export const figure = (
  name: string,
  against: string,
  ours: ReadonlyArray<number>,
  theirs: ReadonlyArray<number>
): Figure => ({ name, against, ours, theirs })

/** A round of each in turn, after one of each that does not count. */
export const interleaved = Effect.fnUntraced(function*<E, R, E2, R2>(
  name: string,
  against: string,
  rounds: number,
  ours: Effect.Effect<number, E, R>,
  theirs: Effect.Effect<number, E2, R2>
) {
  yield* ours
  yield* theirs
  const our: Array<number> = []
  const their: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    our.push(yield* ours)
    their.push(yield* theirs)
  }
  return figure(name, against, our, their)
})

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Ours, theirs and the ratio of the medians, with the ratio's range over the rounds. */
export const table = (figures: ReadonlyArray<Figure>): string => {
  const number = (value: number) => Math.round(value).toLocaleString("en")
  const rows = figures.map(({ against, name, ours, theirs }) => {
    const ratios = ours.map((value, i) => value / (theirs[i] ?? median(theirs)))
    return [
      name,
      number(median(ours)),
      number(median(theirs)),
      (median(ours) / median(theirs)).toFixed(2),
      `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
      against
    ]
  })
  const all = [["", "ours", "raw", "ratio", "range", "raw is"], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  return all.map((row) =>
    row.map((cell, column) =>
      column === 0 || column === 5 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
    )
      .join("  ").trimEnd()
  ).join("\n")
}
