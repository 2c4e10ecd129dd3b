/** A network between two machines that can stop carrying anything, without telling either of them: as when a cable is pulled. */
import { Effect } from "effect"
import { createConnection, createServer, type Socket } from "node:net"

/** A port that leads to another one of this machine, until the scope closes. */
export const makeCable = Effect.fnUntraced(function*(to: number) {
  const sockets = new Set<Socket>()
  let isPulled = false
  const carry = (near: Socket) => {
    const far = createConnection({ port: to, host: "127.0.0.1" })
    // What was there when the cable was pulled stays dead: its packets are not sent again for ever.
    let isDead = isPulled
    for (const [from, into] of [[near, far], [far, near]] as const) {
      sockets.add(from)
      from.on("data", (chunk) => {
        isDead ||= isPulled
        if (!isDead) into.write(chunk)
      })
      from.on("error", () => from.destroy())
      from.on("close", () => {
        sockets.delete(from)
        isDead ||= isPulled
        if (!isDead) into.destroy()
      })
    }
  }
  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const listening = createServer(carry)
      listening.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
    }),
    (listening) =>
      Effect.callback<void>((resume) => {
        listening.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  const address = server.address()
  if (address === null || typeof address === "string") return yield* Effect.die(new Error("no port"))
  return {
    port: address.port,
    pull: Effect.sync(() => {
      isPulled = true
    }),
    mend: Effect.sync(() => {
      isPulled = false
    })
  }
})
