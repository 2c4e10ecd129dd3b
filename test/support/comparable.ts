import { HashMap, Predicate } from "effect"

/** A value with its maps as lists of their entries, in order: what a map remembers of its making is nobody's business. */
export const comparable = (value: unknown): unknown => {
  if (HashMap.isHashMap(value)) return { entries: HashMap.toEntries(value).map(comparable) }
  if (Array.isArray(value)) return value.map(comparable)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, comparable(field)]))
}
