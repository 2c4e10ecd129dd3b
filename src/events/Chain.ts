/**
 * The hash chain of a stream: each event's hash covers the event and the hash before it, so that a stream whose last
 * hash is known cannot be changed, shortened in the middle or reordered without being noticed.
 *
 * Text is covered by its own digest. A text can therefore be replaced by that digest and its length, which is what
 * redaction does, and the chain still holds.
 */
import { Predicate, type Schema } from "effect"
import { hash } from "node:crypto"
import type { Cause } from "./EventLog.ts"

/** A SHA-256 in hex: in this form Node gives it fastest, and JSON and people take it as it is. */
export type Hash = string

/** The hash before the first event of a stream. */
export const start: Hash = "0".repeat(64)

/** What a text is replaced by when it is redacted: SHA-256 of its UTF-8 in hex, and its length in UTF-16 code units. */
export interface Redacted {
  readonly redacted: { readonly sha256: string; readonly length: number }
}

export const isRedacted = (value: unknown): value is Redacted =>
  Predicate.hasProperty(value, "redacted") && Object.keys(value).length === 1 &&
  Predicate.hasProperty(value.redacted, "sha256") && typeof value.redacted.sha256 === "string" &&
  Predicate.hasProperty(value.redacted, "length") && typeof value.redacted.length === "number"

const sha256 = (data: string | Uint8Array): Hash => hash("sha256", data)

export const redacted = (text: string): Redacted => ({
  redacted: { sha256: sha256(text.toWellFormed()), length: text.length }
})

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Ids tell nothing about anybody, and the shape of the history needs them. */
export const isText = (text: string): boolean => text.length !== 36 || !uuid.test(text)

/** JSON in one form only: keys in the order of their code units, no white space (RFC 8785 for the values events have). */
export const canonical = (value: Schema.Json): string => write(value, JSON.stringify)

/** As it is covered: every text but ids replaced by its digest. */
const coveredText = (text: string): string => {
  // An id has nothing that JSON would escape.
  if (!isText(text)) return `"${text}"`
  return text.length > shortMax ? digested(text) : remembered(digests, text, digested)
}

const digested = (text: string): string => {
  const { length, sha256 } = redacted(text).redacted
  return `{"redacted":{"length":${length},"sha256":"${sha256}"}}`
}

// Every event of a live append goes through here. Most short texts come again and again: kinds, names, reasons.
const shortMax = 64
const digests = new Map<string, string>()
const names = new Map<string, string>()
const rememberedMax = 2_000

const remembered = (memory: Map<string, string>, text: string, make: (text: string) => string): string => {
  let made = memory.get(text)
  if (made === undefined) {
    if (memory.size >= rememberedMax) memory.clear()
    memory.set(text, made = make(text))
  }
  return made
}

const write = (value: Schema.Json, writeText: (text: string) => string): string => {
  if (typeof value === "string") return writeText(value)
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item) => write(item, writeText)).join()}]`
  // A text that was redacted before is covered as it was then.
  return writeFields(value as Fields, isRedacted(value) ? JSON.stringify : writeText)
}

type Fields = Readonly<Record<string, Schema.Json | undefined>>

const writeFields = (object: Fields, writeText: (text: string) => string, except?: string): string => {
  let fields = ""
  for (const key of sortedKeys(object)) {
    const field = object[key]
    // JSON has no undefined, so it is not stored either.
    if (key === except || field === undefined) continue
    if (fields !== "") fields += ","
    fields += key.length > shortMax ? asName(key) : remembered(names, key, asName)
    fields += write(field, writeText)
  }
  return `{${fields}}`
}

const asName = (key: string): string => `${JSON.stringify(key)}:`

const sortedKeys = (object: Fields): ReadonlyArray<string> => {
  const keys = Object.keys(object)
  return keys.every((key, i) => i === 0 || keys[i - 1]! < key) ? keys : keys.sort()
}

/** An event as far as its hash covers it. Its version is its place in the chain. */
export interface Covered extends Cause {
  readonly stream: string
  readonly schemaVersion: number
  readonly at: number
  /** The stored form, `_tag` included. */
  readonly event: { readonly _tag: string }
}

/** What an event adds to the chain, apart from the hash before it. */
export const contentOf = (
  { at, causationId, commandId, correlationId, event, schemaVersion, stream }: Covered
): Hash => {
  const fields = writeFields(event as unknown as Fields, coveredText, "_tag")
  const about = `${JSON.stringify(stream)},${JSON.stringify(event._tag)},${schemaVersion},${at}`
  const cause = `${orNull(commandId)},${orNull(correlationId)},${orNull(causationId)}`
  return sha256(`[${about},${cause}]\n${fields}`)
}

const orNull = (id: string | undefined): string => id === undefined ? "null" : JSON.stringify(id)

/** The hash of an event, from the hash before it and what it adds. */
export const next = (before: Hash, content: Hash): Hash => sha256(Buffer.from(before + content, "hex"))
