/**
 * Stands between a client and PostgreSQL, and cuts the connection that carries a certain text at a certain moment: before
 * the server has it, while the server is at work on it, or when it is committed and the client has yet to hear so. It can
 * also hold back what a client has sent until long after that has given it up, and have the server be away: refuse everybody,
 * or say nothing more to anybody, which looks like a cable that is out.
 */
import { Deferred, Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { createConnection, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export type Moment = "before" | "during" | "after"

interface Cut {
  readonly text: string
  readonly moment: Moment
  readonly done: Deferred.Deferred<void>
}

/** What was sent and is still on its way, though whoever sent it is gone. */
interface HeldBack {
  readonly text: string
  readonly sent: Deferred.Deferred<() => void>
  readonly answered: Deferred.Deferred<void>
}

export interface Place {
  readonly host: string
  readonly port: number
}

const socketOf = ({ host, port }: Place): string => join(host, `.s.PGSQL.${port}`)

/** A place to connect to instead of the server, until the scope closes. */
export const makeProxy = Effect.fnUntraced(function*(server: Place) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "makima-proxy-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const place: Place = { host: directory, port: server.port }
  const sockets = new Set<Socket>()
  let cut: Cut | undefined
  let late: HeldBack | undefined
  let isSilent = false

  const carry = (client: Socket) => {
    const upstream = createConnection(socketOf(server))
    const both = [client, upstream]
    // Cut without a good-bye, as when a cable is pulled.
    const sever = () => {
      client.destroy()
      if (held === undefined) upstream.destroy()
    }
    for (const socket of both) {
      sockets.add(socket)
      if (isSilent) socket.pause()
      socket.on("error", sever).on("close", () => {
        sockets.delete(socket)
        sever()
      })
    }
    let awaited: Cut | undefined
    let held: HeldBack | undefined
    const finish = ({ done }: Cut) => {
      sever()
      Deferred.doneUnsafe(done, Effect.void)
    }
    client.on("data", (chunk) => {
      if (late !== undefined && chunk.includes(late.text)) {
        held = late
        late = undefined
        Deferred.doneUnsafe(held.sent, Effect.succeed(() => void upstream.write(chunk)))
        return sever()
      }
      const here = cut !== undefined && chunk.includes(cut.text) ? cut : undefined
      if (here === undefined) return upstream.write(chunk)
      cut = undefined
      if (here.moment === "before") return finish(here)
      if (here.moment === "after") awaited = here
      return upstream.write(chunk, () => {
        if (here.moment === "during") finish(here)
      })
    })
    // The server answers once it has committed, so its answer is the moment after.
    upstream.on("data", (chunk) => {
      if (held !== undefined) return Deferred.doneUnsafe(held.answered, Effect.void)
      return awaited === undefined ? client.write(chunk) : finish(awaited)
    })
  }

  const listen = Effect.callback<ReturnType<typeof createServer>>((resume) => {
    const listening = createServer(carry)
    listening.listen(socketOf(place), () => resume(Effect.succeed(listening)))
  })
  const hangUp = (listening: ReturnType<typeof createServer>) =>
    Effect.callback<void>((resume) => {
      listening.close(() => resume(Effect.void))
      for (const socket of sockets) socket.destroy()
    })
  let listening = yield* listen
  yield* Effect.addFinalizer(() => hangUp(listening))

  const say = (silent: boolean) =>
    Effect.sync(() => {
      isSilent = silent
      for (const socket of sockets) {
        if (silent) socket.pause()
        else socket.resume()
      }
    })
  return {
    place,
    /** Ends all connections and takes no new ones, while something is done. */
    whileRefusing: <A, E, R>(use: Effect.Effect<A, E, R>) =>
      Effect.acquireUseRelease(
        Effect.suspend(() => hangUp(listening)),
        () => use,
        () => Effect.map(listen, (again) => void (listening = again))
      ),
    /** Takes connections, and says nothing on any of them, while something is done. What was said comes afterwards. */
    whileSilent: <A, E, R>(use: Effect.Effect<A, E, R>) =>
      Effect.acquireUseRelease(say(true), () => use, () => say(false)),
    /**
     * Cuts the client off the next connection that carries the text, before the server has it. The effect given has the
     * server get it after all, and waits for its answer.
     */
    holdBack: (text: string) =>
      Effect.gen(function*() {
        const sent = yield* Deferred.make<() => void>()
        const held: HeldBack = { text, sent, answered: yield* Deferred.make<void>() }
        late = held
        return Effect.flatMap(Deferred.await(held.sent), (arrive) => {
          arrive()
          return Deferred.await(held.answered)
        })
      }),
    /** Cuts the next connection that carries the text. The effect given waits until that has happened. */
    cut: (moment: Moment, text: string) =>
      Effect.map(Deferred.make<void>(), (done) => {
        cut = { moment, text, done }
        return Deferred.await(done)
      })
  }
})
