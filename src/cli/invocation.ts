/** How this process was started, for those that it starts and for commands that people are told to try. */
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The main script beside this folder: the sources in a checkout, the compiled ones in an installed package. */
const isSource = import.meta.url.endsWith(".ts")
const script = join(dirname(dirname(fileURLToPath(import.meta.url))), isSource ? "main.ts" : "main.js")

/** What starts makima again with the same node. */
export const makimaCommand = { node: process.execPath, script }

/** What a person types: in a checkout there is no `makima` in the PATH, but npm knows it. */
export const invocation = isSource ? "npm run --silent makima --" : "makima"
