/**
 * How much of some modules ran: how often V8 entered each function and block of them. Unlike time, that is the same on
 * every machine and in every run.
 */
import { Session } from "node:inspector"

export const counting = (modules: ReadonlyArray<string>) => {
  const session = new Session()
  session.connect()
  // Without a promise: within one process the inspector answers before `post` returns.
  const post = (method: string, parameters: object = {}): unknown => {
    let answer: unknown
    session.post(method, parameters, (error, result) => {
      if (error !== null) throw error
      answer = result
    })
    return answer
  }
  post("Profiler.enable")
  post("Profiler.startPreciseCoverage", { callCount: true, detailed: true })
  const taken = () => {
    const { result } = post("Profiler.takePreciseCoverage") as {
      readonly result: ReadonlyArray<{
        readonly url: string
        readonly functions: ReadonlyArray<{ readonly ranges: ReadonlyArray<{ readonly count: number }> }>
      }>
    }
    return result
      .filter(({ url }) => modules.some((module) => url.endsWith(module)))
      .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges.map(({ count }) => count)))
      .reduce((sum, count) => sum + count, 0)
  }
  return {
    /** What the modules did while this ran. */
    of: (run: () => void): number => {
      taken()
      run()
      return taken()
    },
    end: () => session.disconnect()
  }
}
