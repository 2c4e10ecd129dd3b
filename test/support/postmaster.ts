import { readFileSync } from "node:fs"
import { join } from "node:path"

/** The first process of the bundled PostgreSQL in a data directory, or undefined while there is none. */
export const postmasterOf = (dataDirectory: string): number | undefined => {
  try {
    const [pid] = readFileSync(join(dataDirectory, "postgres", "postmaster.pid"), "utf8").split("\n")
    // The file is empty for a moment, and 0 would be all of us.
    return Number(pid) || undefined
  } catch {
    return undefined
  }
}
