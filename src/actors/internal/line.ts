/**
 * Who waits, in order, each once. Joining, leaving and taking the first are constant: a Map has to walk over those who
 * have left before it finds its first.
 */

interface Place<Key, Value> {
  readonly key: Key
  readonly value: Value
  before: Place<Key, Value> | undefined
  after: Place<Key, Value> | undefined
}

export class Line<Key, Value> {
  readonly #places = new Map<Key, Place<Key, Value>>()
  #first: Place<Key, Value> | undefined
  #last: Place<Key, Value> | undefined

  get size(): number {
    return this.#places.size
  }

  has(key: Key): boolean {
    return this.#places.has(key)
  }

  /** Whoever is in the line already leaves its place. */
  join(key: Key, value: Value, where: "back" | "front" = "back"): void {
    this.leave(key)
    const [before, after] = where === "back" ? [this.#last, undefined] : [undefined, this.#first]
    const place = { key, value, before, after }
    this.#places.set(key, place)
    if (before === undefined) this.#first = place
    else before.after = place
    if (after === undefined) this.#last = place
    else after.before = place
  }

  leave(key: Key): void {
    const place = this.#places.get(key)
    if (place === undefined) return
    this.#places.delete(key)
    if (place.before === undefined) this.#first = place.after
    else place.before.after = place.after
    if (place.after === undefined) this.#last = place.before
    else place.after.before = place.before
  }

  /** Who is next: the first, or the second where the first is the one who was served just before. */
  next(served: Key | undefined): { readonly key: Key; readonly value: Value } | undefined {
    const first = this.#first
    return first !== undefined && first.key === served ? first.after ?? first : first
  }
}
