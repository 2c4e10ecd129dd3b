/** An event of the log as one line: for people, and as the JSON that `--json` prints. */
import { DateTime, Predicate, Schema } from "effect"
import { DaemonEvent } from "../events/DaemonEvent.ts"
import { DirectiveEvent } from "../events/DirectiveEvent.ts"
import type { RecordedEvent, StoredEvent } from "../events/EventLog.ts"
import { SupervisorEvent } from "../events/SupervisorEvent.ts"
import { quoted } from "./internal/text.ts"

const textCharsMax = 60
const itemsMax = 3

/** `position  time  stream@version  type  field=value …`, ids cut to their first eight digits, long texts cut. */
export const human = ({ at, event, position, stream, version }: RecordedEvent): string =>
  [
    String(position).padStart(7),
    DateTime.formatIso(DateTime.makeUnsafe(at)),
    `${quotedIfNeeded(shortened(stream))}@${version}`,
    event._tag,
    ...fieldsOf(event).map(([name, value]) => `${name}=${shown(value)}`)
  ].join(" ")

/** The same event always gives the same text: the keys have one order, whatever order they were stored in. */
export const json = ({ at, event, position, schemaVersion, stream, version, ...cause }: RecordedEvent) => ({
  position,
  stream,
  version,
  at,
  type: event._tag,
  schemaVersion,
  event: Object.fromEntries([["_tag", event._tag], ...fieldsOf(event)]),
  ...(cause.commandId === undefined ? {} : { commandId: cause.commandId }),
  ...(cause.correlationId === undefined ? {} : { correlationId: cause.correlationId }),
  ...(cause.causationId === undefined ? {} : { causationId: cause.causationId })
})

const kinds = { ...DirectiveEvent.cases, ...DaemonEvent.cases, ...SupervisorEvent.cases }

/** The fields that are there, in the order in which the vocabulary has them. */
const fieldsOf = (event: StoredEvent): ReadonlyArray<readonly [name: string, value: unknown]> => {
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
