/** The lock file: all stored shapes, as they were accepted. */
import { readFileSync, writeFileSync } from "node:fs"
import type { Lock } from "./describe.ts"

const file = new URL("shapes.lock.json", import.meta.url)

export const readLock = (): Lock => JSON.parse(readFileSync(file, "utf8"))

export const writeLock = (lock: Lock): void => writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
