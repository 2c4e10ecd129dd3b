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

/** The same with every text replaced by its digest: what the chain covers. */
const covered = (value: Schema.Json): string => write(value, writeCovered)

const writeCovered = (text: string): string => {
  if (!isText(text)) return JSON.stringify(text)
  const { length, sha256 } = redacted(text).redacted
  return `{"redacted":{"length":${length},"sha256":"${sha256}"}}`
}

// Every event of a live append goes through here, so it makes no arrays that it can do without.
const write = (value: Schema.Json, writeText: (text: string) => string): string => {
  if (typeof value === "string") return writeText(value)
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item) => write(item, writeText)).join()}]`
  // A text that was redacted before is covered as it was then.
  const inner = isRedacted(value) ? JSON.stringify : writeText
  const object = value as Readonly<Record<string, Schema.Json | undefined>>
  let fields = ""
  for (const key of Object.keys(object).sort()) {
    const field = object[key]
    // JSON has no undefined, so neither is stored.
    if (field === undefined) continue
    fields += `${fields === "" ? "" : ","}${JSON.stringify(key)}:${write(field, inner)}`
  }
  return `{${fields}}`
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
  const { _tag, ...fields } = event
  const about = [stream, _tag, schemaVersion, at, commandId ?? null, correlationId ?? null, causationId ?? null]
  return sha256(`${JSON.stringify(about)}\n${sha256(covered(fields))}`)
}

/** The hash of an event, from the hash before it and what it adds. */
export const next = (before: Hash, content: Hash): Hash => sha256(Buffer.from(before + content, "hex"))
