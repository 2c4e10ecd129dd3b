/**
 * Somebody who follows the log from its first event, now and then begins anew where it was, and takes its time, so that
 * commits come in between whatever it does.
 */
import { Effect, Scheduler, Stream } from "effect"
import type { LoggedEvent } from "../../events/Unreadable.ts"
import type { Chance } from "./chance.ts"
import { Fibers } from "./fibers.ts"
import type { World } from "./world.ts"

/** What it does next may take a moment to begin. */
class UnhurriedFibers extends Fibers {
  readonly #world: World
  readonly #chance: Chance

  constructor(world: World, name: string) {
    super(world.time, world.seed, name)
    this.#world = world
    this.#chance = world.faults.chance(`haste of ${name}`)
  }

  override scheduleTask(task: () => void, priority: number): void {
    this.#world.time.after(this.#chance.below(3), () => super.scheduleTask(task, priority))
  }
}

export const begin = (world: World): ReadonlyArray<LoggedEvent> => {
  const seen: Array<LoggedEvent> = []
  const chance = world.faults.chance("subscriber")
  const fibers = new UnhurriedFibers(world, "subscriber")
  const session = Effect.suspend(() =>
    world.store.log.subscribe({ after: seen.at(-1)?.position ?? 0 }).pipe(
      Stream.runForEachArray((logged) =>
        Effect.sync(() => {
          seen.push(...logged)
        })
      ),
      Effect.timeoutOption(chance.spread(1_000, 3_600_000))
    )
  )
  fibers.fork(
    Effect.forever(session).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, chance.spread(10, 300))),
    fibers.context
  )
  return seen
}
