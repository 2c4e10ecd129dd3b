/**
 * Keeps simulated code from the real world: while something runs in here, whoever asks for the real time, for a timer or
 * for real chance fails.
 *
 * A run never waits, so nobody else's code comes in between. Files and sockets need a turn of the event loop to do
 * anything, so what they would bring never arrives in a run; that they are not even opened is for `test/simulation` to say.
 */
import process from "node:process"

const patched: ReadonlyArray<readonly [owner: object, name: string]> = [
  [globalThis.Date, "now"],
  [globalThis.performance, "now"],
  [globalThis.process.hrtime, "bigint"],
  [globalThis.Math, "random"],
  [globalThis, "setTimeout"],
  [globalThis, "setInterval"],
  [globalThis, "setImmediate"],
  [globalThis, "queueMicrotask"],
  [globalThis, "fetch"],
  [globalThis.crypto, "randomUUID"],
  [globalThis.crypto, "getRandomValues"],
  [process, "nextTick"]
]

export class RealWorld extends Error {
  constructor(name: string) {
    super(`Simulated code called ${name}, which is of the real world`)
  }
}

/** Dates of a given time are pure; only the present is not. */
const GuardedDate = new Proxy(globalThis.Date, {
  construct: (target, args: ReadonlyArray<unknown>, newTarget) => {
    if (args.length === 0) throw new RealWorld("new Date()")
    return Reflect.construct(target, args, newTarget) as object
  },
  apply: () => {
    throw new RealWorld("Date()")
  }
})

/**
 * Runs what a user of the simulator has written: an error that is made in there says where. A promise would be taken for
 * an answer that says nothing, so it is refused; `name` says whose it is.
 */
export const traced = <A>(name: string, run: () => A): A => {
  const { stackTraceLimit } = Error
  try {
    Error.stackTraceLimit = 10
    const answer = run()
    if (answer instanceof Promise) throw new TypeError(`${name} returns a promise, which nothing waits for`)
    return answer
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

export const guarded = <A>(run: () => A): A => {
  const undo: Array<() => void> = []
  const replace = (owner: object, name: string, value: unknown) => {
    const own = Object.getOwnPropertyDescriptor(owner, name)
    Object.defineProperty(owner, name, { value, configurable: true, writable: true })
    undo.push(() => {
      if (own === undefined) Reflect.deleteProperty(owner, name)
      else Object.defineProperty(owner, name, own)
    })
  }
  const { stackTraceLimit } = Error
  try {
    for (const [owner, name] of patched) {
      replace(owner, name, () => {
        throw new RealWorld(name)
      })
    }
    replace(globalThis, "Date", GuardedDate)
    // Where an error was made differs between machines, and some errors are in the log.
    Error.stackTraceLimit = 0
    return run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    for (const restore of undo.toReversed()) restore()
  }
}
