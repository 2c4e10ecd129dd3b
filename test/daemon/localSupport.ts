/** Real directories, repositories and processes for the tests of the local daemon. */
import { Effect, Fiber, FileSystem, Path, Redacted, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { join } from "node:path"
import * as LocalDaemon from "../../src/daemon/LocalDaemon.ts"
import { HeartbeatMillis } from "../../src/daemon/Protocol.ts"
import { TaskId } from "../../src/events/Ids.ts"
import { ownerId } from "../support/directive.ts"
import { eventually } from "../support/eventually.ts"

// What the people who run the tests have told git is no part of them, for the daemon neither.
Object.assign(process.env, { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" })

export const taskId = (n: number): TaskId => TaskId.make(`${String(n).padStart(8, "0")}-0000-4000-8000-000000000000`)

export const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => Effect.flatMap(fs.makeTempDirectoryScoped({ prefix: "makima-test-" }), fs.realPath)
)

/** Runs a shell script and gives what it prints, without the last line's end. */
export const sh = Effect.fnUntraced(function*(cwd: string, script: string) {
  const handle = yield* ChildProcess.make("/bin/sh", ["-ec", script], {
    cwd,
    stdin: "ignore"
  })
  const [output, code] = yield* Effect.all([Stream.mkString(Stream.decodeText(handle.all)), handle.exitCode], {
    concurrency: 2
  })
  if (code !== 0) return yield* Effect.die(new Error(`${script}: ${output}`))
  return output.replace(/\n$/, "")
}, Effect.scoped)

const identity = "git config user.name tester; git config user.email tester@localhost"

/** A user's repository, with a first commit on `main`. */
export const makeRepository = Effect.fnUntraced(function*(directory: string, name: string) {
  const path = yield* Path.Path
  const repository = path.join(directory, name)
  yield* sh(
    directory,
    `git init -q -b main ${name}; cd ${name}; ${identity}; echo one >a; git add a; git commit -qm one`
  )
  return repository
})

/** The real local daemon, in this process, on the endpoint of a port, until the scope closes. */
export const startLocalDaemon = Effect.fnUntraced(function*(
  options:
    & { readonly port: number; readonly directory: string; readonly agent: string; readonly heartbeatMillis: number }
    & Partial<LocalDaemon.Options>
) {
  const { agent, directory, heartbeatMillis, port, ...rest } = options
  const daemon = yield* Effect.forkChild(
    LocalDaemon.run({
      apiUrl: `http://127.0.0.1:${port}`,
      apiKey: Redacted.make(`key-of-${ownerId}`),
      agent,
      workDir: join(directory, "work"),
      machineId: "machine",
      env: { TEST_DIRECTORY: directory },
      makima: { node: process.execPath, script: "/dev/null" },
      ...rest
    }).pipe(Effect.provideService(HeartbeatMillis, heartbeatMillis))
  )
  yield* Effect.addFinalizer(() => Fiber.interrupt(daemon))
  return daemon
})

/** The content of a file, as soon as it is there and complete: written by `echo … > file` and ending a line. */
export const written = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const read = Effect.orElseSucceed(fs.readFileString(file), () => "")
  yield* eventually(`${file} is written`, Effect.map(read, (text) => text.endsWith("\n")))
  return (yield* read).trimEnd()
})
