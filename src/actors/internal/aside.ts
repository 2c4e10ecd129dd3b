/**
 * Those who cannot use the room that there is, because each of them refuses the daemons that have it: whoever refuses
 * the same is together, so that room at a daemon costs nothing for those who refuse it.
 */
import type { DaemonId } from "../../events/Ids.ts"

interface Group<Key, Value> {
  readonly refused: ReadonlySet<DaemonId>
  readonly members: Map<Key, Value>
}

export class Aside<Key, Value> {
  readonly #groups = new Map<string, Group<Key, Value>>()
  readonly #names = new Map<Key, string>()

  join(key: Key, value: Value, refused: ReadonlyArray<DaemonId>): void {
    this.leave(key)
    const name = refused.toSorted().join(" ")
    const group = this.#groups.get(name) ?? { refused: new Set(refused), members: new Map<Key, Value>() }
    this.#groups.set(name, group)
    this.#names.set(key, name)
    group.members.set(key, value)
  }

  leave(key: Key): void {
    const name = this.#names.get(key)
    if (name === undefined) return
    this.#names.delete(key)
    const { members } = this.#groups.get(name)!
    members.delete(key)
    if (members.size === 0) this.#groups.delete(name)
  }

  /** Takes out all who would take a slot of this daemon. */
  takeUnless(refused: DaemonId): ReadonlyArray<{ readonly key: Key; readonly value: Value }> {
    const taken: Array<{ readonly key: Key; readonly value: Value }> = []
    for (const [name, group] of this.#groups) {
      if (group.refused.has(refused)) continue
      this.#groups.delete(name)
      for (const [key, value] of group.members) {
        this.#names.delete(key)
        taken.push({ key, value })
      }
    }
    return taken
  }
}
