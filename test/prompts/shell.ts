/** Runs the shell blocks of prompts with a real `sh`, among stand-ins that write down how they were called. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The fenced blocks of a language, in order. */
export const blocks = (prompt: string, language = "sh"): ReadonlyArray<string> =>
  [...prompt.matchAll(/^(`{3,})(\w*)\n([^]*?)\n\1$/gm)].filter((match) => match[2] === language).map((match) =>
    match[3]!
  )

interface Ran {
  readonly status: number | null
  readonly calls: ReadonlyArray<ReadonlyArray<string>>
  /** What is in the folder afterwards: nothing, unless a text became a command. */
  readonly files: ReadonlyArray<string>
}

/** `answers` is shell code that every stand-in ends with; it can look at `$command`. */
export const run = (block: string, answers = ""): Ran => {
  const folder = mkdtempSync(join(tmpdir(), "makima-prompt-"))
  try {
    const bin = join(folder, "bin")
    const work = join(folder, "work")
    const log = join(folder, "calls")
    spawnSync("mkdir", [bin, work])
    writeFileSync(log, "")
    for (const name of ["git", "gh", "makima"]) {
      const record = `printf '%s\\0' "$(($# + 1))" ${name} "$@" >> "$CALLS"\ncommand="${name} $*"\n`
      writeFileSync(join(bin, name), `#!/bin/sh\n${record}${answers}\n`, { mode: 0o755 })
    }
    const { status } = spawnSync("sh", ["-s"], {
      cwd: work,
      env: { PATH: `${bin}:/usr/bin:/bin`, HOME: folder, CALLS: log },
      input: block
    })
    return { status, calls: parse(readFileSync(log, "utf8").split("\0")), files: readdirSync(work) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const parse = (words: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const calls: Array<ReadonlyArray<string>> = []
  for (let at = 0; at < words.length - 1;) {
    const count = Number(words[at])
    calls.push(words.slice(at + 1, at + 1 + count))
    at += 1 + count
  }
  return calls
}
