/** What an agent finds in its environment. */
import { Redacted } from "effect"
import { delimiter } from "node:path"
import type { SpawnTask } from "../Protocol.ts"
import { repositoryVariables } from "./git.ts"

/** `tools` is the folder with `makima`, and git in the worktree looks for repositories no further up than `ceiling`. */
export const environmentOf = (
  options: { readonly apiKey: Redacted.Redacted<string>; readonly env?: Record<string, string> },
  apiUrl: string,
  tools: string,
  spawn: SpawnTask,
  ceiling: string
): Record<string, string> => {
  const inherited = Object.entries({ ...process.env, ...options.env }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !repositoryVariables.includes(entry[0])
  )
  const env: Record<string, string> = {
    ...Object.fromEntries(inherited),
    // Git in a directory that is no repository must not find one further up, which is the user's.
    GIT_CEILING_DIRECTORIES: ceiling,
    GIT_TERMINAL_PROMPT: "0",
    MAKIMA_API_URL: apiUrl,
    MAKIMA_API_KEY: Redacted.value(options.apiKey),
    MAKIMA_TASK_ID: spawn.taskId
  }
  if (spawn.directiveId !== null) env["MAKIMA_DIRECTIVE_ID"] = spawn.directiveId
  env["PATH"] = [tools, env["PATH"]].filter((part) => part !== undefined && part !== "").join(delimiter)
  return env
}
