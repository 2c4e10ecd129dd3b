/** A directory of commands that every agent finds first in its PATH: `makima` itself, and the node that runs it. */
import { Effect, FileSystem, Path } from "effect"

/** How to start makima: a node executable and the main script. */
export interface Makima {
  readonly node: string
  readonly script: string
}

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

/** Writes the commands and gives their directory. */
export const install = Effect.fnUntraced(function*(workDir: string, { node, script }: Makima) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = path.resolve(workDir, "bin")
  yield* fs.makeDirectory(directory, { recursive: true })
  const write = Effect.fnUntraced(function*(name: string, words: ReadonlyArray<string>) {
    const temporary = path.join(directory, `.${name}.${process.pid}`)
    yield* fs.writeFileString(temporary, `#!/bin/sh\nexec ${words.map(quoted).join(" ")} "$@"\n`, { mode: 0o755 })
    // An agent of before may be starting it at this moment.
    yield* fs.rename(temporary, path.join(directory, name))
  })
  yield* write("makima", [node, path.resolve(script)])
  yield* write("node", [node])
  return directory
})
