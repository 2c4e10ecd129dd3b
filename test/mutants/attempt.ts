/** One mutant and the simulator: a copy of the sources with the mistake in it, and how many seeds it takes to notice. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import { type Mutant, mutated } from "./Mutant.ts"

export interface Bounds {
  readonly firstSeed: number
  readonly seeds: number
  /** For one mutant, in real time. */
  readonly seconds: number
}

export interface Outcome {
  /** How many seeds were run; the last of them found it, if it was found. */
  readonly seeds: number
  readonly seconds: number
  readonly found: { readonly seed: number; readonly profile: string; readonly invariant: string } | undefined
  /** What the simulator said, or why it stopped. */
  readonly because: string
}

type Line =
  | { readonly seed: number; readonly profile: string }
  | { readonly invariant: string; readonly message: string }
  | { readonly isOver: true }

/** A run of one seed takes a fraction of a second: one that takes so long never ends. */
const stuckMillis = 120_000

/** Without a mutant it is the code as it is. */
export const attempt = async (root: string, mutant: Mutant | undefined, bounds: Bounds): Promise<Outcome> => {
  const copy = mkdtempSync(join(tmpdir(), "makima-mutant-"))
  try {
    for (const name of ["src", "package.json", "tsconfig.json"]) {
      cpSync(join(root, name), join(copy, name), { recursive: true })
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    if (mutant !== undefined) writeFileSync(join(copy, mutant.file), mutated(root, mutant))
    return await runSeeds(copy, bounds)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

const runSeeds = async (copy: string, { firstSeed, seconds, seeds }: Bounds): Promise<Outcome> => {
  const begun = performance.now()
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "seeds.ts"), join(copy, "src"), String(firstSeed), String(seeds)],
    { stdio: ["ignore", "pipe", "pipe"] }
  )
  const ended = once(child, "close")
  let complaint = ""
  child.stderr.on("data", (text: Buffer) => {
    complaint = (complaint + text.toString()).slice(-2_000)
  })
  let current: { readonly seed: number; readonly profile: string } | undefined
  let said: Exclude<Line, { readonly seed: number }> | undefined
  let stopped: "late" | "stuck" | undefined
  const stop = (why: "late" | "stuck") => {
    stopped ??= why
    child.kill("SIGKILL")
  }
  const tooLate = setTimeout(() => stop("late"), seconds * 1000)
  let stuck = setTimeout(() => stop("stuck"), stuckMillis)
  for await (const text of createInterface(child.stdout)) {
    const line = JSON.parse(text) as Line
    if ("seed" in line) current = line
    else said = line
    clearTimeout(stuck)
    stuck = setTimeout(() => stop("stuck"), stuckMillis)
  }
  clearTimeout(stuck)
  clearTimeout(tooLate)
  await ended
  const took = (performance.now() - begun) / 1000
  if (current === undefined) throw new Error(`it does not begin: ${complaint}`)
  const count = current.seed - firstSeed + 1
  const result = (invariant: string | undefined, because: string): Outcome => ({
    seeds: count,
    seconds: took,
    found: invariant === undefined ? undefined : { ...current!, invariant },
    because
  })
  if (said !== undefined) {
    return "invariant" in said
      ? result(said.invariant, said.message)
      : result(undefined, "all seeds")
  }
  if (stopped === "late") return { ...result(undefined, "out of time"), seeds: count - 1 }
  if (stopped === "stuck") return result("a run ends", "the run of this seed does not end")
  // Somebody else has ended it, which says nothing about the mutant.
  if (child.signalCode !== null) throw new Error(`it is stopped by ${child.signalCode}`)
  return result("the process lives", complaint)
}
