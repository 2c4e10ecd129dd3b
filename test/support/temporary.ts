/** Empty folders that PostgreSQL can enter: where the tests run as root, it runs as somebody else. */
import { Effect } from "effect"
import { chmodSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Whoever makes one removes it. */
export const makeFolder = (): string => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "makima-test-")))
  chmodSync(folder, 0o755)
  return folder
}

export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true, force: true })

/** Gone with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(makeFolder),
  (folder) => Effect.sync(() => removeFolder(folder))
)
