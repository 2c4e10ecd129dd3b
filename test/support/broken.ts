/** Actors with a defect in a place of the test's choosing: everything else about them is as it is. */
import { Context, Effect, Layer } from "effect"
import { Supervisor } from "../../src/actors/SupervisorActor.ts"

export type Place = "decide" | "evolve" | "react"

/** Where actors are broken, by address. A test may mend them. */
export class Broken extends Context.Service<Broken, Map<string, Place>>()("test/Broken") {}

const layerBroken = Layer.sync(Broken, () => new Map<string, Place>())

/** The supervisor, whose actors break as `Broken` says. */
export const layerSupervisor = Layer.effect(
  Supervisor,
  Effect.gen(function*() {
    const supervisor = yield* Supervisor
    const broken = yield* Broken
    const actor: Supervisor["Service"]["actor"] = (address, behaviour) => {
      const check = (place: Place) => {
        if (broken.get(address) === place) throw new Error(`a defect in ${place}`)
      }
      return supervisor.actor(address, {
        ...behaviour,
        decide: (...args) => {
          check("decide")
          // Rules fold what they decide.
          check("evolve")
          return behaviour.decide(...args)
        },
        evolve: (...args) => {
          check("evolve")
          return behaviour.evolve(...args)
        },
        react: (...args) =>
          Effect.suspend(() => {
            check("react")
            return behaviour.react(...args)
          })
      })
    }
    return { ...supervisor, actor }
  })
).pipe(Layer.provide(Supervisor.layer), Layer.provideMerge(layerBroken))
