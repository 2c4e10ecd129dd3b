/** An event of the log as one line: for people, and as the JSON that `--json` prints. */
import { DateTime, Predicate, Schema } from "effect"
import { type LoggedEvent, Unreadable } from "../events/Unreadable.ts"
import * as Vocabulary from "../events/Vocabulary.ts"
import { quoted } from "./internal/text.ts"

const textCharsMax = 60
const reasonCharsMax = 300
const itemsMax = 3

/** The type with which an event is stored, whether it can be read or not. */
export const typeOf = ({ event }: LoggedEvent): string => event._tag === "Unreadable" ? event.type : event._tag

/** `position  time  stream@version  type  field=value …`, ids cut to their first eight digits, long texts cut. */
export const human = (logged: LoggedEvent): string =>
  [
    String(logged.position).padStart(7),
    DateTime.formatIso(DateTime.makeUnsafe(logged.at)),
    `${quotedIfNeeded(shortened(logged.stream))}@${logged.version}`,
    ...told(logged)
  ].join(" ")

const told = (logged: LoggedEvent): ReadonlyArray<string> => {
  const { event, schemaVersion } = logged
  const type = quotedIfNeeded(typeOf(logged))
  if (event._tag !== "Unreadable") return [type, ...fieldsOf(event).map(([name, value]) => `${name}=${shown(value)}`)]
  return [type, `UNREADABLE schemaVersion=${schemaVersion} reason=${quoted(event.reason, reasonCharsMax)}`]
}

/**
 * The same event always gives the same text: the keys have one order, whatever order they were stored in. The event has
 * today's shape, and `schemaVersion` is of that; what cannot be read is told as it is stored.
 */
export const json = (logged: LoggedEvent) => ({
  position: logged.position,
  stream: logged.stream,
  version: logged.version,
  at: logged.at,
  type: typeOf(logged),
  schemaVersion: logged.event._tag === "Unreadable" ? logged.schemaVersion : Vocabulary.versionOf(logged.event),
  event: Object.fromEntries([["_tag", logged.event._tag], ...fieldsOf(logged.event)]),
  ...(logged.commandId === undefined ? {} : { commandId: logged.commandId }),
  ...(logged.correlationId === undefined ? {} : { correlationId: logged.correlationId }),
  ...(logged.causationId === undefined ? {} : { causationId: logged.causationId })
})

const kinds = { ...Vocabulary.cases, Unreadable }

/** The fields that are there, in the order in which the vocabulary has them. */
const fieldsOf = (event: LoggedEvent["event"]): ReadonlyArray<readonly [name: string, value: unknown]> => {
  const values: Readonly<Record<string, unknown>> = { ...event }
  return Object.keys(kinds[event._tag].fields).flatMap((name) =>
    name === "_tag" || values[name] === undefined ? [] : [[name, values[name]] as const]
  )
}

const isId = Schema.is(Schema.String.check(Schema.isUUID()))
const idWithin = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g
const shortened = (text: string): string => text.replace(idWithin, (id) => id.slice(0, 8))

const shown = (value: unknown): string => {
  if (Array.isArray(value)) {
    const more = value.length > itemsMax ? [`…${value.length - itemsMax} more`] : []
    return `[${[...value.slice(0, itemsMax).map(shown), ...more].join(",")}]`
  }
  if (Predicate.isObject(value)) return quoted(JSON.stringify(value), textCharsMax)
  if (typeof value !== "string") return String(value)
  return isId(value) ? value.slice(0, 8) : quoted(value, textCharsMax)
}

/** Stream names hold owners, which are somebody's text as well. */
const quotedIfNeeded = (text: string): string => /^[\w.@:+-]+$/.test(text) ? text : quoted(text, textCharsMax)
