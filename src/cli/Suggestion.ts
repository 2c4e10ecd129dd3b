/** What somebody may have meant who has mistyped a name. */

const namesMax = 3

/** `. Did you mean …?` with the names that are closest, or nothing where none is close. */
export const didYouMean = (given: string, names: ReadonlyArray<string>): string => {
  const text = given.toLowerCase()
  const farthest = Math.max(2, Math.floor(text.length / 4))
  const close = names
    .map((name) => ({ name, distance: distanceOf(text, name.toLowerCase()) }))
    .filter(({ distance, name }) => distance <= farthest || (text.length > 2 && name.toLowerCase().includes(text)))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, namesMax)
    .map(({ name }) => name)
  return close.length === 0 ? "" : `. Did you mean ${close.join(", ")}?`
}

/** How many letters have to be put in, left out or changed (Levenshtein). */
const distanceOf = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [count, letter] of Array.from(from).entries()) {
    const next = [count + 1]
    for (let at = 1; at <= to.length; at += 1) {
      next.push(Math.min(row[at]! + 1, next[at - 1]! + 1, row[at - 1]! + (letter === to[at - 1] ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1)!
}
