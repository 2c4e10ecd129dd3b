/** `makima serve` as a process of its own, and the commands of those who ask it. */
import { assert } from "@effect/vitest"
import type { NewStep } from "../../src/actors/DirectiveCommand.ts"
import { makimaHere, type Options, start, type Started } from "./cli.ts"

export interface Server extends Started {
  readonly url: string
}

export interface ServeOptions extends Options {
  /** Any that is free, unless it says which. */
  readonly port?: string
  readonly flags?: ReadonlyArray<string>
}

/** Starts a server, and waits until it can be asked. */
export const serve = async ({ flags = [], port = "0", ...options }: ServeOptions): Promise<Server> => {
  const server = start(["serve", "--port", port, "--json", ...flags], options)
  const [, url] = await server.says(/"url":"([^"]+)"/, "stdout")
  return { ...server, url: url! }
}

export const portOf = ({ url }: Server): string => new URL(url).port

/** Runs a command, and wants it to go well. */
export const succeed = async (env: Record<string, string>, ...args: ReadonlyArray<string>): Promise<string> => {
  const { status, stderr, stdout } = await makimaHere(args, env)
  assert.strictEqual(status, 0, `makima ${args.join(" ")}: ${stderr}`)
  return stdout
}

/** A new key of an owner, in the store that the environment names. */
export const newKey = async (env: Record<string, string>, owner = "alice"): Promise<string> =>
  (await succeed(env, "keys", "create", "test", "--owner", owner)).trim()

/** The environment of a client. */
export const clientOf = ({ url }: Server, key: string) => ({ MAKIMA_API_URL: url, MAKIMA_API_KEY: key })

/** Has a client create a directive, and gives its id. */
export const createDirective = async (
  client: Record<string, string>,
  ...args: ReadonlyArray<string>
): Promise<string> =>
  JSON.parse(await succeed(client, "directive", "create", "Title", "--goal", "Goal", "--json", ...args)).directiveId

export const addSteps = (client: Record<string, string>, id: string, ...steps: ReadonlyArray<NewStep>) =>
  succeed(client, "directive", "batch-add-steps", "--directive", id, "--json", JSON.stringify(steps))
