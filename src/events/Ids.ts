/**
 * The ids of everything the log speaks about, and the one way to derive new ones.
 *
 * An actor never draws an id by chance: it derives it from its stream and the version of the event that introduces the
 * thing, so that deciding the same command on the same history gives the same events, byte for byte.
 */
import { Schema } from "effect"
import { createHash } from "node:crypto"

const uuid = Schema.String.check(Schema.isUUID())

export const DirectiveId = uuid.pipe(Schema.brand("DirectiveId"))
export type DirectiveId = typeof DirectiveId.Type

export const StepId = uuid.pipe(Schema.brand("StepId"))
export type StepId = typeof StepId.Type

export const TaskId = uuid.pipe(Schema.brand("TaskId"))
export type TaskId = typeof TaskId.Type

export const DaemonId = uuid.pipe(Schema.brand("DaemonId"))
export type DaemonId = typeof DaemonId.Type

/** Whoever a directive, a daemon and an API key belong to. Nothing of one owner is visible to another. */
export const OwnerId = Schema.NonEmptyString.check(Schema.isMaxLength(100)).pipe(Schema.brand("OwnerId"))
export type OwnerId = typeof OwnerId.Type

/** RFC 9562 appendix C: the namespace of names that are DNS-like. Names here are ours, so any fixed one would do. */
const namespace = Buffer.from("6ba7b8109dad11d180b400c04fd430c8", "hex")

const hex = (bytes: Buffer): string =>
  bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")

/** The UUIDv5 (RFC 9562, section 5.5) of a name: the same name always gives the same id. */
export const uuidV5 = (name: string): string => {
  const bytes = createHash("sha1").update(namespace).update(name, "utf8").digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x50
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return hex(bytes)
}

/** The id of what the event at `version` of `stream` introduces. */
export const derivedId = (stream: string, version: number): string => uuidV5(`${stream}@${version}`)

/** The same machine of the same owner is the same daemon, however often it reconnects. */
export const daemonIdOf = (ownerId: OwnerId, machineId: string): DaemonId =>
  DaemonId.make(uuidV5(`daemon ${JSON.stringify([ownerId, machineId])}`))

/** An idempotency key names the directive that it creates, so a repeated create finds the first one. */
export const directiveIdOf = (ownerId: OwnerId, idempotencyKey: string): DirectiveId =>
  DirectiveId.make(uuidV5(`directive ${JSON.stringify([ownerId, idempotencyKey])}`))
