/** Somebody's text within a line of ours: it can neither end the line, steer the terminal, nor fill the screen. */

// Control characters, line and paragraph separators, and what turns the direction of writing.
const unruly = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu

/** At most `charsMax` characters on one line, the last one `…` where something is missing. */
export const oneLine = (text: string, charsMax: number): string => {
  const line = text.slice(0, 4 * charsMax).toWellFormed().replace(unruly, " ").trim()
  return line.length <= charsMax && text.length <= 4 * charsMax
    ? line
    : `${line.slice(0, charsMax - 1).replace(/[\uD800-\uDBFF]$/, "")}…`
}

/** As `oneLine`, in quotes that the text cannot end. */
export const quoted = (text: string, charsMax: number): string => JSON.stringify(oneLine(text, charsMax))

const itemsMax = 3

/** `a, b and c`, or `a, b, c and 7 more`: the others are not even looked at. */
export const listed = <A>(items: ReadonlyArray<A>, show: (item: A) => string): string => {
  const shown = items.slice(0, itemsMax).map(show)
  const more = items.length - shown.length
  const all = more > 0 ? [...shown, `${more} more`] : shown
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`
}

/** `1 step`, `2 steps`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`
