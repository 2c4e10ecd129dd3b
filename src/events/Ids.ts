/**
 * The ids of everything the log speaks about, and the one way to derive new ones.
 *
 * An actor never draws an id by chance: it derives it from its stream and the version of the event that introduces the
 * thing, so that deciding the same command on the same history gives the same events, byte for byte.
 */
import { Schema } from "effect"
import { hash } from "node:crypto"

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

/** The UUIDv5 (RFC 9562, section 5.5) of a name: the same name always gives the same id. */
export const uuidV5 = (name: string): string => {
  const digest = hash("sha1", Buffer.concat([namespace, Buffer.from(name)]))
  // The version takes the place of the first four bits of its group, and the variant that of the first two.
  const variant = "89ab"[Number.parseInt(digest[16]!, 16) & 3]
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `5${digest.slice(13, 16)}`,
    `${variant}${digest.slice(17, 20)}`,
    digest.slice(20, 32)
  ].join("-")
}

/** The id of what the event at `version` of `stream` introduces. */
export const derivedId = (stream: string, version: number): string => uuidV5(`${stream}@${version}`)

/** The same machine of the same owner is the same daemon, however often it reconnects. */
export const daemonIdOf = (ownerId: OwnerId, machineId: string): DaemonId =>
  DaemonId.make(uuidV5(`daemon ${JSON.stringify([ownerId, machineId])}`))

/** An idempotency key names the directive that it creates, so a repeated create finds the first one. */
export const directiveIdOf = (ownerId: OwnerId, idempotencyKey: string): DirectiveId =>
  DirectiveId.make(uuidV5(`directive ${JSON.stringify([ownerId, idempotencyKey])}`))
