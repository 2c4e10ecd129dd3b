/** Makes folders, where that is possible, and otherwise says so. Node's own way never comes back from some file systems. */
import { mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Makes a folder and whichever above it are missing. Throws what the file system says, about the first it refuses. */
export const makeFolders = (path: string): void => {
  if (isFolder(path)) return
  // The top of a file system is there, or there is nothing to be made.
  if (dirname(path) !== path) makeFolders(dirname(path))
  try {
    mkdirSync(path)
  } catch (cause) {
    // Somebody else has made it just now.
    if (!isFolder(path)) throw cause
  }
}
