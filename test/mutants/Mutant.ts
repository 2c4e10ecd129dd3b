/** A small wrong change to the code, as somebody who is tired makes it. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

export interface Mutant {
  readonly name: string
  /** What is wrong with it, in a sentence. */
  readonly wrong: string
  /** From the root of the repository. */
  readonly file: string
  /** It has to be there exactly once. */
  readonly find: string
  readonly replace: string
}

/** The file of a mutant with the mistake in it. Throws where the code is not there any more that it is about. */
export const mutated = (root: string, { file, find, name, replace }: Mutant): string => {
  const parts = readFileSync(join(root, file), "utf8").split(find)
  if (parts.length !== 2) throw new Error(`${name}: what it replaces is in ${file} ${parts.length - 1} times, not once`)
  return parts.join(replace)
}
