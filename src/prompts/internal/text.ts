/**
 * How the prompts set text that somebody else wrote, so that it stays text: it never ends a shell word, opens a fence or
 * starts a section. Sections start with `# ` at the beginning of a line; no line of a person's text begins there.
 */

export interface Memory {
  readonly key: string
  readonly value: string
  readonly category?: string | undefined
}

/** The longest title or name shown. Step names are shorter by rule, titles need not be. */
const lineCharsMax = 1000

/** All memories together. A prompt travels in one frame (`frameBytesMax`), so everything unbounded in it has a bound. */
const memoriesCharsMax = 40_000

/** Every line break is `\n`; a control character, which could not be a shell argument or would steer a terminal, is U+FFFD. */
const clean = (text: string): string =>
  text.toWellFormed().replace(/\r\n|[\r\v\f\u0085\u2028\u2029]/g, "\n").replace(/[^\P{Cc}\t\n]/gu, "\uFFFD")

/** At most `charsMax` characters, the last one `…` where something is missing, and no half character before it. */
const shorten = (text: string, charsMax: number): string =>
  text.length <= charsMax ? text : `${text.slice(0, charsMax - 1).replace(/[\uD800-\uDBFF]$/, "")}…`

/** A text for a place that holds one line: line breaks are folded into spaces. */
export const oneLine = (text: string, charsMax = lineCharsMax): string => {
  const line = folded(text.slice(0, 4 * charsMax)).trim()
  return line === "" ? "(none)" : shorten(line, charsMax)
}

const folded = (text: string): string => clean(text).replace(/\n+/g, " ")

/** A text of any number of lines as a quote block: each line is marked, so none of them can be a heading or a fence. */
export const quote = (text: string, charsMax: number): string => {
  const shown = clean(shorten(text, charsMax))
  const lines = shown.split("\n").map((line) => line === "" ? ">" : `> ${line}`).join("\n")
  return text.length <= charsMax ? lines : `${lines}\n\n(Cut short here: \`makima directive show\` has the rest.)`
}

/** One word, on one line, for a POSIX shell. What needs no quotes gets none, to keep commands readable. */
export const shellWord = (text: string): string => {
  const word = folded(text)
  return /^[\w./-]+$/.test(word) ? word : shellText(word)
}

/** One word for a POSIX shell that keeps its line breaks, for texts that have no line of somebody else's in them. */
export const shellText = (text: string): string => `'${clean(text).replaceAll("'", `'\\''`)}'`

/** A fenced block that nothing inside can close. */
export const fenced = (language: string, content: string): string => {
  const runs = content.match(/`+/g) ?? []
  const fence = "`".repeat(runs.reduce((longest, run) => Math.max(longest, run.length + 1), 3))
  return `${fence}${language}\n${content}\n${fence}`
}

/** As many items as fit, one below the other, and how many are left out. */
export const listed = <A>(items: ReadonlyArray<A>, charsMax: number, show: (item: A) => string): string => {
  const shown: Array<string> = []
  let chars = 0
  for (const item of items) {
    const text = show(item)
    chars += text.length + 1
    if (chars > charsMax) return [...shown, `- (and ${items.length - shown.length} more)`].join("\n")
    shown.push(text)
  }
  return shown.join("\n")
}

/** The commands that merge branches of origin into the current one. */
export const mergeCommands = (branches: ReadonlyArray<string>): string =>
  branches.map((branch) => `git merge --no-edit ${shellWord(`origin/${branch}`)}`).join("\n")

/** One memory a line, `- [category] key: value`. */
export const memoryLines = (memories: ReadonlyArray<Memory>): string =>
  listed(
    memories,
    memoriesCharsMax,
    ({ category, key, value }) =>
      `- [${oneLine(category || "other")}] ${oneLine(key)}: ${oneLine(value, memoriesCharsMax / 4)}`
  )

export const section = (heading: string, ...paragraphs: ReadonlyArray<string>): string =>
  [`# ${heading}`, ...paragraphs].join("\n\n")

/** The sections that are there, in order. */
export const prompt = (...sections: ReadonlyArray<string | false>): string =>
  `${sections.filter((text) => text !== false).join("\n\n")}\n`
