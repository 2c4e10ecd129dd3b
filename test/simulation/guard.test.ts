/**
 * Goal: simulated code that reaches for the real world fails. Method: calls each way out within the guard, and checks that
 * everything is as before outside. Files and sockets are not guarded: nothing they bring could arrive within a run, which
 * never waits; that no module of a run imports them is checked by name.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import process from "node:process"
import { guarded, RealWorld } from "../../src/simulation/internal/guard.ts"
import { profiles } from "../../src/simulation/Profile.ts"
import { run } from "../../src/simulation/Simulation.ts"

const ways: Readonly<Record<string, () => unknown>> = {
  "Date.now": () => Date.now(),
  "new Date()": () => new Date(),
  "Date()": () => Date(),
  "performance.now": () => performance.now(),
  "process.hrtime.bigint": () => process.hrtime.bigint(),
  "Math.random": () => Math.random(),
  "setTimeout": () => setTimeout(() => {}, 0),
  "setInterval": () => setInterval(() => {}, 1),
  "setImmediate": () => setImmediate(() => {}),
  "queueMicrotask": () => queueMicrotask(() => {}),
  "process.nextTick": () => process.nextTick(() => {}),
  "fetch": () => fetch("http://localhost"),
  "crypto.randomUUID": () => crypto.randomUUID(),
  "crypto.getRandomValues": () => crypto.getRandomValues(new Uint8Array(1))
}

describe("The guard", () => {
  for (const [name, way] of Object.entries(ways)) {
    it(`keeps simulated code from ${name}`, () => {
      assert.throws(() => guarded(way), RealWorld)
    })
  }

  it("lets dates of a given time be made", () => {
    assert.strictEqual(guarded(() => new Date(0).toISOString()), "1970-01-01T00:00:00.000Z")
  })

  it("leaves everything as it was", () => {
    const before = [Date, Date.now, Math.random, setTimeout, performance.now, crypto.randomUUID]
    guarded(() => {})
    assert.deepStrictEqual([Date, Date.now, Math.random, setTimeout, performance.now, crypto.randomUUID], before)
    assert.isAbove(Date.now(), 0)
  })

  it("makes a run fail whose agent looks at the real time", () => {
    const { violation } = run({
      seed: 1,
      profile: profiles.calm,
      agent: () => ({ millis: Date.now() % 1000, ends: "well" })
    })
    assert.strictEqual(violation?.invariant, "the simulation itself")
    assert.include(violation!.found, "which is of the real world")
  })

  it("has nothing to do with files, sockets or processes", () => {
    const start = resolve(import.meta.dirname, "../../src/simulation/Simulation.ts")
    const seen = new Set<string>()
    const reach = (file: string, from: string) => {
      if (seen.has(file)) return
      seen.add(file)
      for (
        const [, name] of readFileSync(file, "utf8").matchAll(/^(?:import|export) (?!type\b)[^;]*? from "([^"]+)"$/gm)
      ) {
        if (name!.startsWith(".")) reach(resolve(dirname(file), name!), file)
        else if (name!.startsWith("node:")) {
          assert.include(["node:crypto", "node:process"], name, `${file}, which ${from} imports`)
        } else assert.match(name!, /^effect($|\/(?!http|socket|sql$|process|cli))/, file)
      }
    }
    reach(start, "the test")
    assert.isAbove(seen.size, 50)
  })
})
