/** Texts as one line of a terminal, which other people's words must neither break nor steer. */
import { displayWidth } from "effect/cli/CliOutput"

/** Somebody's text on one line: nothing in it moves the cursor or changes a colour. */
export const clean = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, " ").trim()

const reasonLengthMax = 160

/**
 * A reason on one line. Its first line says what happened; what follows are the last words of a program, of which the
 * very last say most.
 */
export const briefly = (reason: string): string => {
  const [first = "", ...more] = linesOf(reason)
  const last = more.at(-1)
  return shorten(last === undefined ? first : `${first}: ${last}`, reasonLengthMax)
}

/** The lines of a text that say something, each fit for a terminal. */
export const linesOf = (text: string): ReadonlyArray<string> =>
  text.split(/[\r\n]+/).map(clean).filter((line) => line !== "")

const shorten = (text: string, lengthMax: number): string => {
  const characters = Array.from(text)
  return characters.length <= lengthMax ? text : `${characters.slice(0, lengthMax - 1).join("")}…`
}

export const quoted = (name: string): string => JSON.stringify(clean(name))

/** `7.3 s` below a minute, `2:05` over it, `1:02:05` over an hour. */
export const duration = (millis: number): string => {
  const seconds = Math.max(0, millis) / 1000
  // Rounded first: 59.96 s are a minute.
  if (Math.round(seconds * 10) < 600) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const padded = (part: number) => String(part).padStart(2, "0")
  const minutes = Math.floor(whole / 60)
  return minutes < 60
    ? `${minutes}:${padded(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${padded(minutes % 60)}:${padded(whole % 60)}`
}

/** Cuts a line that would wrap; escape sequences take no room and are never cut in two. */
export const cut = (line: string, columns: number): string => {
  if (displayWidth(line) <= columns) return line
  let width = 0
  let text = ""
  // oxlint-disable-next-line no-control-regex -- the escape character is what is looked for
  for (const [part] of line.matchAll(/\u001b\[\d+m|[^\u001b]/gu)) {
    const isEscape = part.startsWith("\u001b")
    const wide = isEscape ? 0 : displayWidth(part)
    if (width + wide > columns - 1) return `${text}…${line.includes("\u001b") ? "\u001b[0m" : ""}`
    width += wide
    text += part
  }
  return text
}

/** Cuts or fills to exactly so many columns. */
export const fit = (text: string, columns: number): string => {
  const shown = cut(text, columns)
  return shown + " ".repeat(Math.max(0, columns - displayWidth(shown)))
}
